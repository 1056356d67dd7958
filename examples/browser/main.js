import "geotiff"; // gives GeoTIFF
import { MapModel } from "./map_model.js";

const { fromBlob } = globalThis.GeoTIFF;
const at = (id) => document.getElementById(id);
let model = null;

/** Run what a file was chosen for; say in one line what went wrong. */
const answer = (work) => async (event) => {
  try {
    await work([...event.target.files]);
  } catch (error) {
    at("said").textContent = `${error.message ?? error}`;
  }
};

at("model").addEventListener("change", answer(async (files) => {
  const [onnx, json] = ["map_model.onnx", "map_model.json"].map((name) => files.find((file) => file.name === name));
  if (!onnx || !json) throw new Error("expected two files, map_model.onnx and map_model.json, of one folder that pixelkin export wrote.");
  model = await MapModel.open(new Uint8Array(await onnx.arrayBuffer()), JSON.parse(await json.text()));
  at("image").disabled = false;
  at("said").textContent = `Bands: ${model.facts.bands.join(", ")}. Classes: ${model.facts.classes.map((entry) => entry.name).join(", ")}.`;
}));

at("image").addEventListener("change", answer(async ([file]) => {
  at("said").textContent = "Reading";
  const image = await read(file, model.facts.bands);
  const start = performance.now();
  const found = await model.predict(image, (share) => (at("said").textContent = `${Math.round(100 * share)} %`));
  draw(found, image);
  const seconds = (performance.now() - start) / 1000;
  at("said").textContent = `${file.name}: ${image.width} x ${image.height} pixels in ${seconds.toFixed(1)} s.`;
}));

/** The bands that the map model wants: by name where the file names them, else by order. */
async function read(file, wanted) {
  const tiff = await (await fromBlob(file)).getImage();
  const count = tiff.getSamplesPerPixel();
  const names = Array.from({ length: count }, (_, i) => tiff.getGDALMetadata(i)?.DESCRIPTION ?? `band_${i + 1}`);
  const samples = wanted.every((name) => names.includes(name)) ? wanted.map((name) => names.indexOf(name)) : wanted.map((_, i) => i);
  if (count < wanted.length || (samples.every((sample, i) => names[sample] !== wanted[i]) && count !== wanted.length))
    throw new Error(`${file.name} has bands ${names.join(", ")}, expected ${wanted.join(", ")}.`);
  const bands = await tiff.readRasters({ samples });
  const nodata = tiff.getGDALNoData(), width = tiff.getWidth(), height = tiff.getHeight();
  const valid = Uint8Array.from({ length: width * height }, (_, i) => +bands.every((band) => Number.isFinite(band[i]) && band[i] !== nodata));
  return { bands: [...bands], valid, width, height };
}

function draw({ classes, confidence }, { width, height }) {
  const colours = new Map(model.facts.classes.map((entry) => [entry.id, entry.color]));
  const canvas = Object.assign(at("map"), { width, height });
  const picture = new ImageData(width, height);
  classes.forEach((id, i) => id && picture.data.set([...colours.get(id), 255], 4 * i));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  const legend = model.facts.classes.map(({ id, name, color }) => {
    const [entry, sample] = [document.createElement("li"), document.createElement("span")];
    sample.style.background = `rgb(${color})`;
    const share = classes.reduce((total, found) => total + (found === id), 0) / classes.length;
    entry.append(sample, `${name}: ${(100 * share).toFixed(1)} %`);
    return entry;
  });
  at("legend").replaceChildren(...legend);
  canvas.onmousemove = ({ offsetX, offsetY }) => {
    const i = Math.floor((offsetY * height) / canvas.clientHeight) * width + Math.floor((offsetX * width) / canvas.clientWidth);
    canvas.title = classes[i] ? `${model.facts.classes.find((entry) => entry.id === classes[i]).name}, confidence ${confidence[i].toFixed(2)}` : "no data";
  };
}
