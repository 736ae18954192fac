// plan.mjs SCHEMA FOLDER - the same plans by Node: JSON.parse, and ajv by the schema. Prints "node STEPS 0 VALIDATE_US PARSE_US", best of many.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [schemaPath, folder] = process.argv.slice(2);
const Ajv = createRequire(process.cwd() + "/")("ajv/dist/2020").default;
const validate = new Ajv({ strict: false }).compile(JSON.parse(readFileSync(schemaPath, "utf8")));
const best = (what) => {
  let least = Infinity;
  for (let n = 0; n < 2000; n++) {
    const start = process.hrtime.bigint();
    what();
    least = Math.min(least, Number(process.hrtime.bigint() - start) / 1000);
  }
  return least;
};
for (const steps of [5, 20, 100]) {
  const text = readFileSync(`${folder}/${steps}.json`, "utf8");
  if (!validate(JSON.parse(text))) throw new Error(JSON.stringify(validate.errors[0]));
  console.log(`node ${steps} 0 ${best(() => validate(JSON.parse(text))).toFixed(1)} ${best(() => JSON.parse(text)).toFixed(1)}`);
}
