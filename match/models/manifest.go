package models

import "runtime"

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
	sets := []Set{dlibSet(), faceplugin(), edge(), picturesSet()}
	if s, ok := RuntimeFor(runtime.GOARCH); ok {
		sets = append(sets, s)
	}
	return sets
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
		Engine:    "dlib",
		Templates: "dlib_face_recognition_resnet_model_v1.dat",
		Package: Package{
			Manager: "pip",
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
			Manager: "pip",
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

// faceplugin holds four of the networks in the npm package of that name. Its
// detector is version-RFB-320 of Ultra-Light-Fast-Generic-Face-Detector-1MB. The
// package shows fr_liveness red first; docs/pad.md has why it is blue here.
func faceplugin() Set {
	onnx := func(name string, size int64, sum string) File {
		return File{Name: name, Size: size, SHA256: sum, Member: "package/model/" + name}
	}
	return Set{
		Name:      "faceplugin",
		What:      "faceplugin: RFB-320 detector, 68 landmarks, MobileFaceNet-like templates of 512 numbers",
		Licence:   "MIT",
		Training:  "unknown: its authors do not say",
		Engine:    "onnx",
		Templates: "fr_feature.onnx",
		Package:   Package{Manager: "npm", Name: "faceplugin-face-recognition-js", Version: "0.0.1"},
		Networks: Networks{
			Detector:  Detector{Kind: RFB320, File: "fr_detect.onnx", Width: 320, Height: 240},
			Landmarks: Landmarks{Kind: FRLandmark, File: "fr_landmark.onnx"},
			Embedder: Embedder{
				File: "fr_feature.onnx", Size: 112, Channels: RGB,
				Mean: []float64{127, 127, 127}, Deviation: []float64{128, 128, 128}, Output: 512, Metric: Cosine,
			},
			PAD: []PAD{asTheyAre(PAD{File: "fr_liveness.onnx", Crop: 2.7, Size: 128, Classes: 3, Person: 0})},
		},
		Files: []File{
			onnx("fr_detect.onnx", 1_217_758, "6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854"),
			onnx("fr_landmark.onnx", 1_163_742, "f10b0ba1d2a8a099adefede1ebf3733e44fe370715e7303dbeb7f59c02142258"),
			onnx("fr_feature.onnx", 4_884_269, "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581"),
			onnx("fr_liveness.onnx", 1_886_811, "afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d"),
		},
	}
}

// asTheyAre completes a network that is shown values 0 to 255, blue first.
func asTheyAre(p PAD) PAD {
	p.Channels, p.Mean, p.Deviation = BGR, []float64{0, 0, 0}, []float64{1, 1, 1}
	return p
}

// edge holds small networks that no package carries. The two that tell pictures
// from people are of the project Silent-Face-Anti-Spoofing, which publishes them
// in another format: whoever wants them brings them.
func edge() Set {
	const (
		zoo        = "https://media.githubusercontent.com/media/opencv/opencv_zoo/82b38c8f98e7b52aa171400f3e4c722352d0669f/models/face_detection_yunet/"
		mobileFace = "https://raw.githubusercontent.com/foamliu/MobileFaceNet/a6cc9032a659b615f477833e1a70b5e7931bcccc/weights/"
	)
	return Set{
		Name:      "edge",
		What:      "edge: YuNet detector with 5 landmarks, MobileFaceNet templates of 128 numbers",
		Licence:   "YuNet: MIT; MobileFaceNet, MiniFASNet: Apache-2.0",
		Training:  "detector: WIDER FACE; templates: MS-Celeb-1M, which its publisher has withdrawn",
		Engine:    "onnx",
		Templates: "MobileFaceNet.onnx",
		Networks: Networks{
			Detector:  Detector{Kind: YuNet, File: "face_detection_yunet_2023mar.onnx", Width: 640, Height: 640},
			Landmarks: Landmarks{Kind: OwnLandmarks},
			Embedder: Embedder{ // the mean and deviation of ImageNet
				File: "MobileFaceNet.onnx", Size: 112, Channels: RGB,
				Mean: []float64{123.675, 116.28, 103.53}, Deviation: []float64{58.395, 57.12, 57.375}, Output: 128, Metric: Cosine,
			},
			PAD: []PAD{
				asTheyAre(PAD{File: "2.7_80x80_MiniFASNetV2.onnx", Crop: 2.7, Size: 80, Classes: 3, Person: 1}),
				asTheyAre(PAD{File: "4_0_0_80x80_MiniFASNetV1SE.onnx", Crop: 4, Size: 80, Classes: 3, Person: 1}),
			},
		},
		Files: []File{
			{
				Name: "face_detection_yunet_2023mar.onnx", Size: 232_589, URL: zoo + "face_detection_yunet_2023mar.onnx",
				SHA256: "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
			},
			{
				Name: "MobileFaceNet.onnx", Size: 3_998_070, URL: mobileFace + "MobileFaceNet.onnx",
				SHA256: "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
			},
			{
				Name: "2.7_80x80_MiniFASNetV2.onnx", Size: 1_743_495,
				SHA256: "7886c41bcbcc1be00cf8700eddbd8cbd4b1ad138e69010790de2a57a3b01d7e5",
			},
			{
				Name: "4_0_0_80x80_MiniFASNetV1SE.onnx", Size: 1_742_663,
				SHA256: "e67aedf72df3e1912dbf6baa5f7406b8b30c3cb43234170a70dd9d143fea358e",
			},
		},
	}
}

// The set that holds ONNX Runtime, and its file.
const (
	Runtime     = "onnxruntime"
	RuntimeFile = "libonnxruntime.so.1"
)

// RuntimeFor returns the set [Runtime] for a processor, by Go's name of that, and
// false if there is none.
func RuntimeFor(arch string) (Set, bool) {
	lib := File{Name: RuntimeFile}
	const linux = "package/bin/napi-v6/linux/"
	switch arch {
	case "amd64":
		lib.Size, lib.SHA256 = 45_828_512, "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"
		lib.Member = linux + "x64/" + RuntimeFile
	case "arm64":
		lib.Size, lib.SHA256 = 25_135_496, "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"
		lib.Member = linux + "arm64/" + RuntimeFile
	default:
		return Set{}, false
	}
	return Set{
		Name:    Runtime,
		What:    "ONNX Runtime 1.30.0 for " + arch + ": the library that the engine onnx runs on",
		Licence: "MIT",
		Package: Package{Manager: "npm", Name: "onnxruntime-node", Version: "1.30.0"},
		Files:   []File{lib},
	}, true
}
