import { defineConfig } from "vite";

// The server of `pixelkin serve` under development; `npm run dev` passes the API through to it.
const server = process.env["PIXELKIN_SERVER"] ?? "http://127.0.0.1:8765";

export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/pixelkin/web/static",
    emptyOutDir: true,
    target: "es2022",
    // The page's Content-Security-Policy allows no data: address, so nothing may be inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": { target: server, changeOrigin: true } } },
  test: { include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
