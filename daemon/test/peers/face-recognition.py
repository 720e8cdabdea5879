# face_recognition as its manual uses it: HOG, upsampled once, small landmarks.
from importlib.metadata import version

import dlib
import face_recognition

from lines import serve


def area(box):
    top, right, bottom, left = box
    return (bottom - top) * (right - left)


def look(path):
    picture = face_recognition.load_image_file(path)
    boxes = face_recognition.face_locations(picture)
    if not boxes:
        return None
    return face_recognition.face_encodings(picture, [max(boxes, key=area)])[0]


blas = "with BLAS" if dlib.DLIB_USE_BLAS else "without BLAS"
serve(f"face_recognition {version('face_recognition')}, dlib {dlib.__version__} {blas}", look)
