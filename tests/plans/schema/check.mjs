// check.mjs SCHEMA FOLDER - ajv's word on the schema of plans: lines "valid NAME" and "invalid NAME WHY" for the .json files of the folder that are JSON.
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";

const [schemaPath, folder] = process.argv.slice(2);
const Ajv = createRequire(process.cwd() + "/")("ajv/dist/2020").default;
const ajv = new Ajv({ strict: true, strictTypes: false, allErrors: false });
const validate = ajv.compile(JSON.parse(readFileSync(schemaPath, "utf8")));
for (const name of readdirSync(folder).sort()) {
  let plan;
  try {
    plan = JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
  } catch {
    continue;
  }
  console.log(validate(plan) ? `valid ${name}` : `invalid ${name} ${validate.errors[0].instancePath} ${validate.errors[0].message}`);
}
