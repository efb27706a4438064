/**
 * Writes the types of the OpenAPI document: types.mjs DOCUMENT OUTPUT.
 *
 * openapi-typescript does the work. Error codes and the like are open lists (`x-known-values`): their
 * type is `string`, and `KnownValues` has the listed ones. A union with `string & {}` in the schemas
 * would not survive openapi-fetch, which makes an object type of it.
 */
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import openapiTypescript, { astToString } from "openapi-typescript";
import ts from "typescript";

const { factory } = ts;

/** `"Problem.code": "a" | "b";` */
function member([name, values]) {
  const known = values.map((value) =>
    factory.createLiteralTypeNode(factory.createStringLiteral(value)),
  );
  const key = factory.createStringLiteral(name);
  return factory.createPropertySignature(undefined, key, undefined, factory.createUnionTypeNode(known));
}

const [document, output] = process.argv.slice(2);
const lists = new Map();
const ast = await openapiTypescript(pathToFileURL(document), {
  transform: (schema, { path }) => {
    const values = schema["x-known-values"];
    // `#/components/schemas/Problem/code`; the path of some calls ends with the schema.
    const [name, property] = path.split("/").slice(3);
    if (values && property) lists.set(`${name}.${property}`, values);
    return undefined;
  },
});
const exported = [factory.createModifier(ts.SyntaxKind.ExportKeyword)];
const members = [...lists].map(member);
ast.push(factory.createInterfaceDeclaration(exported, "KnownValues", undefined, undefined, members));
await writeFile(output, astToString(ast));
