/** What the test's page has at hand. */
import * as client from "hallpass-client";

Object.assign(globalThis, client);
