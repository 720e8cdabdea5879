# OpenCV's FaceDetectorYN, its alignment, and its own runtime for the networks
# of the model set edge, whose folder is the argument.
import os
import sys

import cv2

from lines import serve

cv2.setNumThreads(1)
yunet = os.path.join(sys.argv[1], "face_detection_yunet_2023mar.onnx")
embedder = os.path.join(sys.argv[1], "MobileFaceNet.onnx")
detector = cv2.FaceDetectorYN.create(yunet, "", (320, 320))
aligner = cv2.FaceRecognizerSF.create(embedder, "")
network = cv2.dnn.readNetFromONNX(embedder)


def look(path):
    picture = cv2.imread(path)
    detector.setInputSize((picture.shape[1], picture.shape[0]))
    _, faces = detector.detect(picture)
    if faces is None:
        return None
    face = max(faces, key=lambda f: f[2] * f[3])
    rgb = cv2.cvtColor(aligner.alignCrop(picture, face), cv2.COLOR_BGR2RGB)
    scaled = ((rgb - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)).astype("float32")
    network.setInput(cv2.dnn.blobFromImage(scaled))
    out = network.forward().ravel()
    return out / cv2.norm(out)


serve(f"OpenCV {cv2.__version__}", look)
