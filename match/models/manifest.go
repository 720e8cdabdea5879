package models

const (
	// sdistModels is the folder of the .dat files in face_recognition_models.
	sdistModels = "face_recognition_models-0.3.0/face_recognition_models/models/"
	// sdistPictures is the folder of the test pictures in face_recognition.
	sdistPictures = "face_recognition-1.3.0/tests/test_images/"
	// dlibFiles is where dlib's author publishes the same .dat files.
	dlibFiles = "https://dlib.net/files/"
)

// List returns the manifest: every set facegate knows.
func List() []Set {
	return []Set{dlibSet(), picturesSet()}
}

// dlibSet holds the three files that go-face opens. The detector on a
// convolutional net (mmod) is loaded by it and never run by us.
func dlibSet() Set {
	dat := func(name string, size int64, sum string) File {
		return File{Name: name, Size: size, SHA256: sum, Member: sdistModels + name, URL: dlibFiles + name + ".bz2"}
	}
	return Set{
		Name:    "dlib",
		What:    "dlib: 5 landmarks, ResNet face templates, CNN face detector",
		Licence: "CC0-1.0",
		Training: "templates: about 3 million faces of 7485 people, from FaceScrub, VGG Face and pictures from the web; " +
			"landmarks: 7198 faces from the web",
		Templates: "dlib_face_recognition_resnet_model_v1.dat",
		Package: Package{
			Name:    "face_recognition_models",
			Version: "0.3.0",
			SHA256:  "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
		},
		Files: []File{
			dat("shape_predictor_5_face_landmarks.dat", 9_150_489,
				"c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"),
			dat("dlib_face_recognition_resnet_model_v1.dat", 22_466_066,
				"55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"),
			dat("mmod_human_face_detector.dat", 729_940,
				"4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"),
		},
	}
}

// picturesSet holds the portraits that the demo and the tests show to the
// engine. The daemon never uses them.
func picturesSet() Set {
	jpg := func(name string, size int64, sum string) File {
		return File{Name: name, Size: size, SHA256: sum, Member: sdistPictures + name}
	}
	return Set{
		Name:    "demo-pictures",
		What:    "portraits of two public figures for the demo and the tests; not used by the daemon",
		Licence: "as part of face_recognition 1.3.0: MIT",
		Package: Package{
			Name:    "face_recognition",
			Version: "1.3.0",
			SHA256:  "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
		},
		Files: []File{
			jpg("obama.jpg", 279_922, "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6"),
			jpg("obama2.jpg", 184_455, "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6"),
			jpg("obama3.jpg", 595_944, "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3"),
			jpg("biden.jpg", 353_723, "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c"),
		},
	}
}
