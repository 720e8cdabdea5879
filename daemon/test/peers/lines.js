// What the peers on Node have in common; main.go says what the lines are.
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const sharp = require('sharp');

const modules = process.env.NODE_PATH;

exports.inside = (name) => path.join(modules, name);

exports.version = (name) => `${name} ${JSON.parse(fs.readFileSync(path.join(modules, name, 'package.json'))).version}`;

// pixels decodes a picture to bytes of red, green and blue.
exports.pixels = async (file) => {
  const { data, info } = await sharp(file).removeAlpha().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  return { data, shape: [info.height, info.width, info.channels] };
};

// serve answers a line with what look, once opened, makes of the file in it.
exports.serve = async (open) => {
  try {
    sharp.concurrency(1);
    const { version, look } = await open();
    console.log(JSON.stringify({ version: `${version}, ${exports.version('sharp')}, Node ${process.versions.node}` }));
    for await (const file of readline.createInterface({ input: process.stdin })) {
      const began = process.cpuUsage();
      const descriptor = await look(file);
      const { user, system } = process.cpuUsage(began);
      console.log(JSON.stringify({ ms: (user + system) / 1000, descriptor }));
    }
  } catch (err) {
    console.error(String(err));
    process.exit(1);
  }
};
