# Tidegate. `make help` lists what can be made.
SHELL    := /bin/bash
PREFIX   ?= /usr/local
VERSION  := 0.1.0
T        ?= spec
S        ?= 60

# SAN=1: Address and UB sanitizers; SAN=thread: the thread sanitizer. Each has its own folder.
SAN      ?=
B        := build$(if $(SAN),/san-$(SAN))
CC       := gcc
LUA      := luajit

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla
# Landing marks for indirect branches (the other half of -fcf-protection) no Linux of today checks in user space.
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fcf-protection=return
OPTIMISE := -O2 -g -fno-plt $(HARDEN)
# What belongs to a thread is one instruction away, in the library too, as long as it is below a KiB in all.
TLS      := -ftls-model=initial-exec
ifeq ($(SAN),1)
OPTIMISE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
OPTIMISE := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
endif
CFLAGS   := -std=c11 -D_GNU_SOURCE $(OPTIMISE) $(WARNINGS) -fPIC $(TLS) -fno-semantic-interposition -pthread \
            -Isrc -I/usr/include/luajit-2.1 \
            -DTIDEGATE_VERSION='"$(VERSION)"' -DTIDEGATE_SHARE='"$(PREFIX)/share/tidegate"' $(CPPFLAGS)
# Some are called by Lua alone (tide.re, compressed bodies): a linker that drops what no C calls is told to keep them.
LDLIBS   := -lssl -lcrypto -lyaml -lluajit-5.1 -lm -ldl -pthread -Wl,--no-as-needed -lpcre2-8 -lz -lbrotlidec -lcares
LDFLAGS  := $(filter -fsanitize%,$(OPTIMISE)) -Wl,-z,relro,-z,now

SOURCES  := $(wildcard src/base/*.c src/net/*.c src/http/*.c src/proxy/*.c src/lua/*.c src/run/*.c)
OBJECTS  := $(SOURCES:src/%.c=$(B)/%.o) $(B)/cdef.o
# Headers whose marked lines Lua gets, in the order of their dependence.
CDEF     := src/base/slice.h src/http/limits.h src/proxy/settings.h src/lua/api.h

.DEFAULT_GOAL := build
.PHONY: build packages run demo test asan tsan fuzz bench lint format install uninstall clean help

build: $(B)/tidegate $(B)/libtidegate.so    ## the gateway, in build/tidegate (SAN=1: with sanitizers)

$(B)/tidegate: $(B)/main.o $(OBJECTS)
	$(CC) $(LDFLAGS) -pie -rdynamic -o $@ $^ $(LDLIBS)

# The same code for specs, which reach C through FFI.
$(B)/libtidegate.so: $(OBJECTS)
	$(CC) $(LDFLAGS) -shared -o $@ $^ $(LDLIBS)

$(B)/%.o: src/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/cdef.c: $(CDEF)
	@mkdir -p $(@D)
	awk 'BEGIN { print "extern const char tide_cdef_text[];\nconst char tide_cdef_text[] =" } \
	     FNR == 1 { on = 0 } /\/\* } ffi \*\// { on = 0 } \
	     on { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); print "\"" $$0 "\\n\"" } \
	     /\/\* ffi { \*\// { on = 1 } END { print ";" }' $(CDEF) > $@

$(B)/cdef.o: $(B)/cdef.c
	$(CC) $(CFLAGS) -c -o $@ $<

-include $(OBJECTS:.o=.d) $(B)/main.d

packages:                                   ## install what is missing of Debian's packages
	@sh .ci/packages

run:                                        ## start it with conf/tidegate.yaml, in the foreground
	@sh .ci/packages build
	@$(MAKE) --no-print-directory build
	build/tidegate run -c conf/tidegate.yaml

demo:                                       ## three small upstreams and a gateway that balances over them
	@sh .ci/packages build
	@$(MAKE) --no-print-directory build
	sh conf/demo/run.sh

test: packages                              ## every spec (T=spec/unit: only those; SAN=1: with sanitizers)
	@$(MAKE) --no-print-directory build
	@SAN=$(SAN) sh spec/run.sh $(B) $(T)

asan:                                       ## every spec under the Address and UB sanitizers
	@$(MAKE) --no-print-directory test SAN=1

tsan:                                       ## the end-to-end specs, reloads under load among them, under the thread sanitizer
	@$(MAKE) --no-print-directory test SAN=thread T=$(if $(filter spec,$(T)),spec/e2e,$(T))

FUZZERS := $(patsubst fuzz/%.c,%,$(wildcard fuzz/*.c))
fuzz:                                       ## each fuzz target for S seconds (T=h1_parse: only that one)
	@sh .ci/packages build fuzz
	@sh fuzz/run.sh "$(if $(filter spec,$(T)),$(FUZZERS),$(T))" $(S)

BENCH_TOOLS := $(B)/bench/load $(B)/bench/upstream $(B)/bench/router
$(B)/bench/%: bench/%.c $(wildcard bench/*.h)
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARNINGS) -o $@ $< -lssl -lcrypto -lm
# These ask the code of the gateway itself.
$(B)/bench/balancer $(B)/bench/router: $(B)/bench/%: bench/%.c $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
bench: build $(BENCH_TOOLS)                 ## the standard loads beside nginx and HAProxy, compared with the last run
	@sh .ci/packages build bench
	$(LUA) bench/run.lua --build $(B) $(BENCH)

lint:                                       ## luacheck, clang-format --dry-run, clang-tidy
	@sh .ci/lint

format:                                     ## clang-format, in place
	@sh .ci/format

SHARE := $(DESTDIR)$(PREFIX)/share/tidegate
install: build                              ## into PREFIX (/usr/local), below DESTDIR
	install -D -m 755 $(B)/tidegate $(DESTDIR)$(PREFIX)/bin/tidegate
	mkdir -p $(SHARE) $(DESTDIR)$(PREFIX)/lib/systemd/system
	cp -R lua conf $(wildcard plugins) $(SHARE)/
	sed 's|/usr/local/|$(PREFIX)/|' conf/tidegate.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/tidegate.service

uninstall:                                  ## takes out what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/tidegate $(DESTDIR)$(PREFIX)/lib/systemd/system/tidegate.service
	rm -rf $(SHARE)

clean:                                      ## remove build/
	rm -rf build

help:                                       ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
