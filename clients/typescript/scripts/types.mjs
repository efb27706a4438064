/**
 * Writes the types of the OpenAPI document: types.mjs DOCUMENT OUTPUT.
 *
 * openapi-typescript does the work. Error codes are open lists (`x-known-values`), which it would
 * make plain strings: here they become unions that an editor completes and that admit new codes.
 */
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import openapiTypescript, { astToString } from "openapi-typescript";
import ts from "typescript";

const { factory } = ts;

/** `"a" | "b" | (string & {})` */
function openUnion(values) {
  const known = values.map((value) =>
    factory.createLiteralTypeNode(factory.createStringLiteral(value)),
  );
  const text = factory.createKeywordTypeNode(ts.SyntaxKind.StringKeyword);
  const other = factory.createIntersectionTypeNode([text, factory.createTypeLiteralNode([])]);
  return factory.createUnionTypeNode([...known, factory.createParenthesizedType(other)]);
}

const [document, output] = process.argv.slice(2);
const ast = await openapiTypescript(pathToFileURL(document), {
  transform: (schema) =>
    schema["x-known-values"] ? openUnion(schema["x-known-values"]) : undefined,
});
await writeFile(output, astToString(ast));
