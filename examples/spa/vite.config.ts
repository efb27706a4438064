import { defineConfig } from "vite";

// 127.0.0.1, not localhost: these are two sites for browsers, which would not send the cookie of
// Hallpass on 127.0.0.1 from a page of the other. The port is fixed, because Hallpass lists the
// origin.
const address = { host: "127.0.0.1", port: 5173, strictPort: true };

export default defineConfig({ server: address, preview: address });
