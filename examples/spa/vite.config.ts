import { defineConfig } from "vite";

// 127.0.0.1 and not localhost: for the browser these are two sites, and Hallpass on 127.0.0.1 would
// not be sent its cookie by a page of the other. The port is fixed since Hallpass lists the origin.
const address = { host: "127.0.0.1", port: 5173, strictPort: true };

export default defineConfig({ server: address, preview: address });
