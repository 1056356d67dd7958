// A map model of `pixelkin export` in the browser: map_model.py, line by line, on onnxruntime-web.
import * as ort from "onnxruntime-web";

const STRIDE = 2, RADIUS = 4, RIDGE = 0.02, MOST_BANDS = 4, REACH = 2 * RADIUS * STRIDE;
const BLOCK = 256, SMALL = 32, SAMPLED = 64, STEP = 8;

ort.env.wasm.numThreads = 1; // more need headers that a plain file server does not send
ort.env.logLevel = "error";

export class MapModel {
  /** Of the bytes of map_model.onnx and the parsed map_model.json. */
  static async open(bytes, facts) {
    const model = new MapModel();
    model.facts = facts;
    model.session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return model;
  }

  /**
   * The map of an image {bands: [typed array a band, in the order of facts.bands], valid: Uint8Array, width, height}.
   * Gives {classes: Uint8Array, 0 = no data, confidence: Float32Array}.
   */
  async predict(image, progress = () => {}) {
    const { facts } = this, { width, height } = image;
    if (image.bands.length !== facts.bands.length)
      throw new Error(`the image has ${image.bands.length} bands, expected ${facts.bands.join(", ")}.`);
    if (facts.image && (facts.image.shape[0] !== height || facts.image.shape[1] !== width))
      throw new Error(`the image is ${height} x ${width}, expected all of ${facts.image.name}, which this map model was exported for.`);
    const ids = facts.classes.map((entry) => entry.id), count = ids.length;
    const [prior, doubt] = await this.prior(image);
    const classes = new Uint8Array(width * height), confidence = new Float32Array(width * height);
    for (let top = 0; top < height; top += BLOCK)
      for (let left = 0; left < width; left += BLOCK) {
        const rows = Math.min(BLOCK, height - top), cols = Math.min(BLOCK, width - left);
        const planes = await this.smooth(image, top, left, rows, cols, prior);
        for (let i = 0; i < rows * cols; i++) {
          const at = (top + Math.floor(i / cols)) * width + left + (i % cols);
          if (!image.valid[at]) continue;
          let best = 0, total = 0, power = 0;
          for (let k = 0; k < count; k++) {
            if (planes[k][i] > planes[best][i]) best = k;
            total += planes[k][i];
          }
          for (let k = 0; k < count; k++) power += (planes[k][i] / total) ** facts.inverse_temperature;
          classes[at] = ids[best];
          confidence[at] = ((planes[best][i] / total) ** facts.inverse_temperature / power) * (1 - doubt) + doubt / count;
        }
        progress((top * width + (left + cols) * rows) / (width * height));
      }
    if (facts.image)
      facts.image.marked[0].forEach((row, i) => {
        const at = row * width + facts.image.marked[1][i];
        [classes[at], confidence[at]] = [facts.image.marked[2][i], 1];
      });
    return { classes, confidence };
  }

  /** Factors of the classes, and how far confidence is drawn towards that of a guess. */
  async prior(image) {
    const { facts } = this, count = facts.classes.length;
    if (Array.isArray(facts.priors)) return [facts.priors.slice(0, -1), facts.priors.at(-1)];
    const nothing = [Array(count).fill(1), 0];
    if (facts.priors === "equal" || !facts.cover) return nothing;
    const { centre, scale, points, limit } = facts.cover;
    const sums = Array(count).fill(0);
    let seen = 0, foreign = 0;
    for (const [top, left, rows, cols] of spreadBlocks(image.height, image.width)) {
      const { probabilities, features, w, size } = await this.run(image, top, left, rows, cols);
      for (let row = 0; row < rows; row += STEP)
        for (let col = 0; col < cols; col += STEP) {
          if (!image.valid[(top + row) * image.width + left + col]) continue;
          const at = (row / STRIDE) * w + col / STRIDE;
          for (let k = 0; k < count; k++) sums[k] += probabilities[k * size + at];
          const values = facts.own.map((column, i) => (features[column * size + at] - centre[i]) / scale[i]);
          let nearest = Infinity;
          for (const point of points) nearest = Math.min(nearest, values.reduce((sum, value, i) => sum + (value - point[i]) ** 2, 0));
          foreign += nearest > limit ** 2 * values.length;
          seen++;
        }
    }
    if (!seen) return nothing;
    return [sums.map((sum) => (Math.max(sum, 1) / seen) ** facts.trust), foreign / seen];
  }

  /** Probabilities and features of every second row and column of a window, `w` to a row and `size` to a plane. */
  async run(image, top, left, rows, cols) {
    const { margin, multiple, inputs } = this.facts;
    const height = Math.ceil(rows / multiple) * multiple, width = Math.ceil(cols / multiple) * multiple;
    const feeds = {};
    for (const name of inputs) {
      if (name === "near") feeds.near = this.near(top, left, height, width);
      else {
        const tall = height + 2 * margin, wide = width + 2 * margin;
        const { planes } = this.read(image, name, top - margin, left - margin, tall, wide);
        feeds[name] = new ort.Tensor("float32", joined(planes), [planes.length, tall, wide]);
      }
    }
    const { probabilities, features } = await this.session.run(feeds);
    const [, h, w] = probabilities.dims;
    return { probabilities: probabilities.data, features: features.data, w, size: h * w };
  }

  /** What lies near labelled pixels. */
  near(top, left, height, width) {
    const { sites, weights, length_scale: length } = this.facts.near, count = weights.length;
    const h = Math.ceil(height / STRIDE), w = Math.ceil(width / STRIDE), data = new Float32Array(count * h * w);
    sites.forEach(([row, col], m) => {
      for (let i = 0; i < h; i++) {
        const down = Math.exp(-0.5 * ((row - top - STRIDE * i) / length) ** 2);
        if (down < 1e-9) continue;
        for (let j = 0; j < w; j++) {
          const kernel = down * Math.exp(-0.5 * ((col - left - STRIDE * j) / length) ** 2);
          for (let k = 0; k < count; k++) data[(k * h + i) * w + j] += weights[k][m] * kernel;
        }
      }
    });
    return new ort.Tensor("float32", data, [count, h, w]);
  }

  /** `bands` or `photo` of a window that may reach past the image, which goes on as in a mirror. */
  read(image, kind, top, left, height, width) {
    const { standardise } = this.facts;
    const rows = mirrored(top, height, image.height), cols = mirrored(left, width, image.width);
    const valid = new Uint8Array(height * width);
    const limits = kind === "photo" ? (image.limits ??= limitsOf(image)) : null;
    const planes = image.bands.map((band, b) => {
      const plane = new Float32Array(height * width);
      for (let i = 0; i < height; i++)
        for (let j = 0; j < width; j++) {
          const from = rows[i] * image.width + cols[j], to = i * width + j;
          valid[to] = image.valid[from];
          if (!valid[to]) continue;
          const value = band[from];
          if (limits) plane[to] = clip((value - limits[b][0]) / (limits[b][1] - limits[b][0]), -0.2, 1.2) * 2 - 1;
          else plane[to] = standardise ? clip((value - standardise.centre[b]) / standardise.scale[b], -8, 8) : value;
        }
      return plane;
    });
    return { planes, valid };
  }

  /** Probabilities of a block, smoothed along edges: a plane a class. */
  async smooth(image, top, left, rows, cols, prior) {
    const tall = rows + 2 * REACH, wide = cols + 2 * REACH, count = prior.length;
    const { probabilities, w, size } = await this.run(image, top - REACH, left - REACH, tall, wide);
    const guide = this.read(image, "bands", top - REACH, left - REACH, tall, wide);
    if (!this.facts.standardise) guide.planes.forEach((plane) => standardised(plane, guide.valid));
    const th = Math.ceil(tall / STRIDE), tw = Math.ceil(wide / STRIDE);
    const thinned = prior.map(() => new Float32Array(th * tw));
    for (let i = 0; i < th; i++)
      for (let j = 0; j < tw; j++) {
        let total = 0;
        for (let k = 0; k < count; k++) total += probabilities[k * size + i * w + j] * prior[k];
        for (let k = 0; k < count; k++) thinned[k][i * tw + j] = (probabilities[k * size + i * w + j] * prior[k]) / total;
      }
    return guidedFilter(thinned, guide.planes, guide.valid, tall, wide);
  }
}

/** See map_model.py. */
function guidedFilter(probabilities, planes, valid, tall, wide) {
  if (planes.length > MOST_BANDS)
    planes = Array.from({ length: MOST_BANDS }, (_, i) => planes[Math.round((i * (planes.length - 1)) / (MOST_BANDS - 1))]);
  const h = Math.ceil(tall / STRIDE), w = Math.ceil(wide / STRIDE), b = planes.length;
  const thin = (plane) => Float32Array.from({ length: h * w }, (_, i) => plane[Math.floor(i / w) * STRIDE * wide + (i % w) * STRIDE]);
  const weight = thin(valid), bands = planes.map((plane) => thin(plane).map((value, i) => value * weight[i]));
  const H = h - 2 * RADIUS, W = w - 2 * RADIUS, n = H * W;
  const sum = (plane) => windowSum(plane, h, w);
  const known = sum(weight), counts = known.map((value) => Math.max(value, 1)), told = known.map((value) => +(value > 0));
  const over = (plane) => plane.map((value, i) => value / counts[i]);
  const means = bands.map((band) => over(sum(band)));
  const covariance = bands.map((one, i) =>
    bands.slice(0, i + 1).map((other, j) => over(sum(one.map((value, at) => value * other[at]))).map((value, at) => value - means[i][at] * means[j][at] + (i === j ? RIDGE : 0))),
  );
  const windows = windowSum(told, H, W).map((value) => Math.max(value, 1));
  const rows = tall - 2 * REACH, cols = wide - 2 * REACH, W2 = W - 2 * RADIUS;
  const out = probabilities.map(() => new Float32Array(rows * cols));
  const matrix = new Float64Array(b * b), right = new Float64Array(b);
  for (let k = 0; k < probabilities.length - 1; k++) {
    const p = probabilities[k].map((value, i) => value * weight[i]);
    const level = over(sum(p)), cross = bands.map((band) => over(sum(band.map((value, i) => value * p[i]))));
    const lines = Array.from({ length: b + 1 }, () => new Float32Array(n));
    for (let at = 0; at < n; at++) {
      if (!told[at]) continue;
      for (let i = 0; i < b; i++) {
        right[i] = cross[i][at] - means[i][at] * level[at];
        for (let j = 0; j <= i; j++) matrix[i * b + j] = matrix[j * b + i] = covariance[i][j][at];
      }
      solve(matrix, right, b);
      lines[0][at] = level[at];
      for (let i = 0; i < b; i++) {
        lines[i + 1][at] = right[i];
        lines[0][at] -= right[i] * means[i][at];
      }
    }
    const meant = lines.map((line) => windowSum(line, H, W).map((value, i) => value / windows[i]));
    for (let row = 0; row < rows; row++)
      for (let col = 0; col < cols; col++) {
        const at = (row >> 1) * W2 + (col >> 1), full = (row + REACH) * wide + col + REACH;
        let value = meant[0][at];
        for (let i = 0; i < b; i++) value += meant[i + 1][at] * planes[i][full];
        out[k][row * cols + col] = value;
      }
  }
  const last = out.at(-1).fill(1);
  for (let k = 0; k < out.length - 1; k++) for (let i = 0; i < last.length; i++) last[i] -= out[k][i];
  for (const plane of out) for (let i = 0; i < plane.length; i++) plane[i] = Math.max(plane[i], 1e-6);
  return out;
}

/** Sums over windows of 2 RADIUS + 1 pixels a side. */
function windowSum(plane, h, w) {
  const W = w - 2 * RADIUS, H = h - 2 * RADIUS, across = new Float64Array(h * W), out = new Float32Array(H * W);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < W; j++) for (let k = 0; k <= 2 * RADIUS; k++) across[i * W + j] += plane[i * w + j + k];
  for (let i = 0; i < H; i++)
    for (let j = 0; j < W; j++) {
      let total = 0;
      for (let k = 0; k <= 2 * RADIUS; k++) total += across[(i + k) * W + j];
      out[i * W + j] = total;
    }
  return out;
}

/** Gaussian elimination in place, of a matrix that is positive definite. */
function solve(matrix, right, b) {
  for (let k = 0; k < b; k++)
    for (let i = k + 1; i < b; i++) {
      const factor = matrix[i * b + k] / matrix[k * b + k];
      for (let j = k; j < b; j++) matrix[i * b + j] -= factor * matrix[k * b + j];
      right[i] -= factor * right[k];
    }
  for (let k = b - 1; k >= 0; k--) {
    for (let j = k + 1; j < b; j++) right[k] -= matrix[k * b + j] * right[j];
    right[k] /= matrix[k * b + k];
  }
}

/** A plane of raw numbers to standard deviations of its valid pixels, in place. */
function standardised(plane, valid) {
  let count = 0, mean = 0, square = 0;
  for (let i = 0; i < plane.length; i++) if (valid[i]) (count++, (mean += plane[i]));
  if (!count) return;
  mean /= count;
  for (let i = 0; i < plane.length; i++) if (valid[i]) square += (plane[i] - mean) ** 2;
  const spread = Math.sqrt(square / count) + 1e-6 * Math.abs(mean) + 1e-12;
  for (let i = 0; i < plane.length; i++) plane[i] = (plane[i] - mean) / spread;
}

/** The 1st and 99th percentiles of each band over an even sample. */
function limitsOf(image) {
  const blocks = spreadBlocks(image.height, image.width);
  return image.bands.map((band) => {
    const values = [];
    for (const [top, left, rows, cols] of blocks)
      for (let row = top; row < top + rows; row++)
        for (let col = left; col < left + cols; col++) if (image.valid[row * image.width + col]) values.push(band[row * image.width + col]);
    values.sort((one, other) => one - other);
    const at = (share) => {
      const position = share * (values.length - 1), low = Math.floor(position);
      return values[low] + (position - low) * ((values[low + 1] ?? values[low]) - values[low]);
    };
    const [low, high] = values.length ? [at(0.01), at(0.99)] : [0, 0];
    return [low, Math.max(high, low + 1e-6 * Math.abs(low) + 1e-12)];
  });
}

/** Top, left, rows and columns of small blocks, evenly spread over an image. */
function spreadBlocks(height, width) {
  const down = Math.ceil(height / SMALL), across = Math.ceil(width / SMALL);
  let rows = clip(Math.round(Math.sqrt((SAMPLED * down) / across)), 1, Math.min(down, SAMPLED));
  const cols = Math.min(across, Math.floor(SAMPLED / rows));
  rows = Math.min(down, Math.floor(SAMPLED / cols));
  const starts = (n, of) => Array.from({ length: n }, (_, i) => Math.floor(((i + 0.5) * of) / n) * SMALL);
  return starts(rows, down).flatMap((top) =>
    starts(cols, across).map((left) => [top, left, Math.min(SMALL, height - top), Math.min(SMALL, width - left)]),
  );
}

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

/** Indices start .. start + length - 1 folded into an image of a size. */
function mirrored(start, length, size) {
  const period = Math.max(1, 2 * (size - 1));
  return Array.from({ length }, (_, i) => {
    const index = Math.abs(start + i) % period;
    return Math.min(index, period - index);
  });
}

function joined(planes) {
  const all = new Float32Array(planes.length * planes[0].length);
  planes.forEach((plane, i) => all.set(plane, i * plane.length));
  return all;
}
