// face-api on TensorFlow's WASM backend. The argument is the detector, ssd or tiny.
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
const faceapi = require('@vladmandic/face-api/dist/face-api.node-wasm.js');
const { inside, pixels, serve, version } = require('./lines.js');

const detectors = {
  ssd: { net: faceapi.nets.ssdMobilenetv1, options: new faceapi.SsdMobilenetv1Options() },
  tiny: { net: faceapi.nets.tinyFaceDetector, options: new faceapi.TinyFaceDetectorOptions() },
};
const detector = detectors[process.argv[2]];

async function look(file) {
  const { data, shape } = await pixels(file);
  const picture = tf.tensor3d(data, shape, 'int32');
  const faces = await faceapi.detectAllFaces(picture, detector.options).withFaceLandmarks().withFaceDescriptors();
  picture.dispose();
  faces.sort((a, b) => b.detection.box.area - a.detection.box.area);
  return faces.length ? Array.from(faces[0].descriptor) : null;
}

serve(async () => {
  wasm.setWasmPaths(inside('@tensorflow/tfjs-backend-wasm/dist/'));
  wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  for (const net of [detector.net, faceapi.nets.faceLandmark68Net, faceapi.nets.faceRecognitionNet]) {
    await net.loadFromDisk(inside('@vladmandic/face-api/model'));
  }
  return { version: `${version('@vladmandic/face-api')}, ${version('@tensorflow/tfjs')} (${tf.getBackend()})`, look };
});
