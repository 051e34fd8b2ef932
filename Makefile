# The front door. `make` builds; every target installs the Debian packages
# that it needs and are missing, and no other target does.

BUILD = build
DIR = site
LISTEN = 127.0.0.1:8080
T =
B =
PREFIX = /usr/local
DESTDIR =
CC ?= cc

# Debian's, whatever else is first in PATH: both are written in Python.
MESON = PATH=/usr/bin:$$PATH meson
NINJA = PATH=/usr/bin:$$PATH ninja
PACKAGES = tools/install-packages
FOR_BUILD = gcc libc6-dev meson ninja-build pkg-config
FOR_CHECK = libcmocka-dev python3 curl
FOR_BROWSER = chromium
FOR_LINT = clang-format clang-tidy shellcheck mandoc git
FOR_BENCH = python3 liburing-dev libuv1-dev

.PHONY: all setup run check check-browser bench install format lint clean

all: setup
	@$(NINJA) -C $(BUILD)

setup:
	@$(PACKAGES) $(FOR_BUILD)
	@test -f $(BUILD)/build.ninja || $(MESON) setup $(BUILD) >/dev/null

run: all
	@$(BUILD)/fire --listen $(LISTEN) $(DIR)

# The whole suite, or what matches T: `make check T=port`.
check: setup
	@$(PACKAGES) $(FOR_CHECK)
	@$(MESON) configure $(BUILD) -Dtests=true
	@$(NINJA) -C $(BUILD)
	@tools/check $(BUILD) $(T)

check-browser: all
	@$(PACKAGES) $(FOR_BROWSER) python3
	@FIRE=$(BUILD)/fire tests/fire/browser

# Rows that contain B: `make bench B=64x64`.
bench: setup
	@$(PACKAGES) $(FOR_BENCH)
	@$(MESON) configure $(BUILD) -Dbench=true
	@$(NINJA) -C $(BUILD)
	@bench/run $(BUILD) $(B)

install: all
	@$(MESON) configure $(BUILD) --prefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) $(MESON) install -C $(BUILD) --quiet

format:
	@$(PACKAGES) clang-format
	@clang-format -i $$(git ls-files '*.c' '*.h')

lint: all
	@$(PACKAGES) $(FOR_LINT)
	@tools/lint $(BUILD)

clean:
	@rm -rf $(BUILD) build-*
