# `make help` lists what can be done. Every target makes its environment first, from nothing: needed are a
# Python 3.11 or 3.12 with headers and venv, a C compiler and make (Debian: python3 python3-dev python3-venv
# gcc make). No uv, Docker or database is needed.
#
#   PYTHON=/path/to/python3.12   use this interpreter (the environment is made anew when it is another one)
#   VENV=folder                  where the environment is made (default .venv)
#   ARGS="..."                   more arguments for pytest, `controls bench` or `controls demo`

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.SUFFIXES:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV ?= .venv
ARGS ?=
UV ?= uv
PYTHON ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PYTHONUNBUFFERED := 1
# Without compiled modules every program that a test starts compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

# --- What can be done -----------------------------------------------------------------------------------

.PHONY: help
help: ## this list
	@echo "controls: what make can do (each makes its environment first, in $(VENV))"
	echo
	sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | column -t -s @ 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)
	echo
	sed -n '/^#   [A-Z]*=/s/^# / /p' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(STAMP) ## plays a trading desk's day, then keeps the service running (ONCE=1: ends after the day)
	@$(BIN)/controls demo $(if $(ONCE),--once) $(ARGS)

# Two processes share the tests, a file each at a time (ARGS="-n 0": one), in the order of tests/conftest.py.
# All checks run even when an early one fails; the summary comes last, right after pytest's closing line.
.PHONY: test
test: $(STAMP) ## all checks and tests, on SQLite and on a PostgreSQL that it starts itself
	@$(checks)
	beside "types" $(BIN)/mypy --strict src
	check "tests" $(BIN)/pytest -q -rfEs -n 2 --dist loadfile --no-loadscope-reorder \
	  --durations=15 --durations-min=1 $(ARGS)
	summary

.PHONY: lint
lint: $(STAMP) ## format, lint, types and import contracts only
	@$(checks)
	check "types" $(BIN)/mypy --strict src
	summary

.PHONY: fuzz
fuzz: $(STAMP) ## the long form of the generated tests: both engines against each other, and all other laws
	@CONTROLS_FUZZ=1 $(BIN)/pytest -m "fuzz or differential" --durations=10 $(ARGS)

.PHONY: soak
soak: $(STAMP) ## minutes of load, with services killed under it
	@CONTROLS_SOAK=1 $(BIN)/pytest -m soak --durations=10 $(ARGS)

.PHONY: bench
bench: $(STAMP) ## measures rates and delays, as ratios within one run
	@$(BIN)/controls bench $(ARGS)

# Keeps the versions that the lock files name as far as pyproject.toml allows; ARGS=--upgrade takes the newest.
.PHONY: lock
lock: ## writes the lock files anew from pyproject.toml (the only target that needs uv; UV=/path/to/uv)
	@if ! command -v $(UV) > /dev/null; then
	  echo "make lock needs uv: https://docs.astral.sh/uv, or UV=/path/to/uv" >&2
	  exit 1
	fi
	lock="$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url"
	lock="$$lock --no-emit-find-links $(ARGS)"
	$$lock --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$$lock --custom-compile-command "make lock" --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo "written: requirements.lock requirements-dev.lock"

.PHONY: clean
clean: ## removes the environment and what the tools keep for themselves
	@rm -rf "$(VENV)" .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks dist build
	find src tests migrations -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: environment
environment: $(STAMP)

# --- Checks ---------------------------------------------------------------------------------------------

# `check NAME COMMAND...` runs a check and remembers how it ended; `summary` prints that and fails if one did.
# `beside NAME COMMAND...` runs one while others do, and `summary` shows what it said: it takes one processor
# for a while in which the tests would leave the other idle.
define checks
results=""; failed=0; others=()
check() {
  local name="$$1" begin=$$SECONDS state=ok; shift
  echo "== $$name: $${*#$(BIN)/}"
  "$$@" || { state=FAILED; failed=1; }
  results+="$$(printf '  %-18s %-7s %4d s' "$$name" "$$state" $$((SECONDS - begin)))"$$'\n'
}
beside() {
  local name="$$1" begin=$$SECONDS said code; said="$$(mktemp)"; shift
  echo "== $$name, beside the tests: $${*#$(BIN)/}"
  { code=0; "$$@" > "$$said" 2>&1 || code=$$?; echo "$$code $$((SECONDS - begin))" > "$$said.end"; } &
  others+=("$$name|$$said")
}
summary() {
  echo "== summary"
  wait
  local other name said code seconds state
  for other in "$${others[@]}"; do
    name="$${other%%|*}" said="$${other#*|}"
    read -r code seconds < "$$said.end"
    state=ok
    if test "$$code" != 0; then state=FAILED; failed=1; cat "$$said"; fi
    results+="$$(printf '  %-18s %-7s %4d s' "$$name" "$$state" "$$seconds")"$$'\n'
    rm -f "$$said" "$$said.end"
  done
  printf '%s' "$$results"
  $(BIN)/python -c 'import platform; print("  tested on         ", platform.python_implementation(), platform.python_version(), "on", platform.platform())'
  for minor in 11 12; do
    if ! $(BIN)/python -c "import sys; raise SystemExit(sys.version_info[1] != $$minor)"; then
      echo "  UNTESTED           Python 3.$$minor; to test it: make test PYTHON=/path/to/python3.$$minor VENV=.venv-3.$$minor"
    fi
  done
  exit $$failed
}
check "format" $(BIN)/ruff format --check .
check "lint" $(BIN)/ruff check .
check "import contracts" $(BIN)/lint-imports --no-logo
endef

# --- Environment ----------------------------------------------------------------------------------------

# The stamp holds where and with which Python the environment was made. It is stale when the checkout was
# moved, when its Python is gone, or when another PYTHON is asked for.
stale := $(shell \
  test -e "$(STAMP)" || exit 0; \
  here="$$("$(BIN)/python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null) $(CURDIR)"; \
  test "$$here" = "$$(cat "$(STAMP)")" || { echo stale; exit 0; }; \
  test -z "$(PYTHON)" && exit 0; \
  "$(PYTHON)" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null \
    | { read -r asked && test "$$asked" = "$${here%% /*}" || echo stale; } || true)

.PHONY: stale
stale:

$(STAMP): requirements-dev.lock pyproject.toml $(if $(stale),stale)
	@$(find_python)
	echo "making the environment $(VENV) with $$python ($$("$$python" -c 'import platform; print(platform.python_version())'))"
	$(if $(stale),rm -rf "$(VENV)")
	"$$python" -m venv "$(VENV)"
	log="$(VENV)/install.log"
	# Python compiles what is imported, once; pip would compile everything, for half the time that it takes.
	pip() { "$(BIN)/python" -m pip install --no-compile --no-color --progress-bar off "$$@"; }
	# pip uses one processor, so two install half of the packages each. The lock file names every package, so
	# that none is looked for because of another one; `pip check` holds that against what they ask for.
	halves() {
	  awk -v into="$(VENV)/half" '/^[A-Za-z0-9]/ { n++ } { print > (into n % 2 ".txt") }' requirements-dev.lock
	  pip --no-deps --require-hashes -r "$(VENV)/half0.txt" & local other="$$!" failed=0
	  pip --no-deps --require-hashes -r "$(VENV)/half1.txt" || failed=1
	  wait "$$other" && return "$$failed"
	}
	install() {
	  if ! { "$$@" && "$(BIN)/python" -m pip check --no-color; } 2>&1 | tee -a "$$log" | progress; then
	    echo "pip failed; of that $$log says:" >&2
	    { grep -A 15 "ERROR\|which is not installed" "$$log" || tail -n 30 "$$log"; } | head -n 40 >&2
	    exit 1
	  fi
	}
	# pip says much; what people want to know is that it goes on.
	progress() {
	  awk -v total="$$(grep -c '^[a-z].*==' requirements-dev.lock)" -v tty="$$(test -t 1 && echo 1 || echo 0)" '
	    /^(Collecting|Requirement already satisfied)/ { n++; say = sprintf("  packages found: %d of at most %d", n, total) }
	    /^Building wheel for/ { say = "  compiling " $$4 " ..." }
	    /^Installing collected/ { say = "  installing ..." }
	    say != last { if (tty) printf "\r%-60s", say; else if (n % 20 == 0 || say !~ /found/) print say; last = say; fflush() }
	    END { if (tty) printf "\r%-60s\r", "" }'
	}
	: > "$$log"
	install halves
	install pip --no-deps --no-build-isolation -e .
	"$(BIN)/python" -c 'import sys; print(sys.version_info[:2], "$(CURDIR)")' > "$(STAMP)"
	echo "environment ready"

# The first Python that runs, is 3.11 or 3.12, and has what an environment and a C module need. A name that
# exists proves nothing (pyenv leaves names that only print an error), so each one is run.
define find_python
missing=""
usable() {
  "$$1" -c 'import sys; raise SystemExit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)))' 2>/dev/null
}
lacks() {
  local trial compiler include; trial="$$(mktemp -d)"
  "$$1" -c 'import venv, ensurepip' 2>/dev/null || echo "python3-venv (the modules venv and ensurepip)"
  compiler="$${CC:-$$("$$1" -c 'import sysconfig; print((sysconfig.get_config_var("CC") or "cc").split()[0])')}"
  include="$$("$$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
  if ! command -v $${compiler%% *} > /dev/null; then
    echo "gcc (a C compiler; looked for $$compiler)"
  else
    echo '#include <stdio.h>' > "$$trial/c.c"
    echo '#include <Python.h>' > "$$trial/python.c"
    if ! $$compiler -c "$$trial/c.c" -o "$$trial/c.o" > /dev/null 2>&1; then
      echo "libc6-dev (the headers of the C library; $$compiler does not compile)"
    elif ! $$compiler -I"$$include" -c "$$trial/python.c" -o "$$trial/python.o" > /dev/null 2>&1; then
      echo "python3-dev (Python.h; looked in $$include)"
    fi
  fi
  rm -rf "$$trial"
}
find_python() {
  local candidate lack
  for candidate in $(if $(PYTHON),"$(PYTHON)",python3.12 python3.11 python3 python \
      "$$(command -v uv > /dev/null && uv python find '>=3.11,<3.13' 2>/dev/null || true)"); do
    if test -n "$$candidate" && command -v "$$candidate" > /dev/null && usable "$$candidate"; then
      lack="$$(lacks "$$candidate")"
      if test -z "$$lack"; then python="$$candidate"; return; fi
      missing+="$$candidate lacks:"$$'\n'"$$(sed 's/^/  /' <<< "$$lack")"$$'\n'
    elif test -n "$$candidate" && command -v "$$candidate" > /dev/null; then
      missing+="$$candidate: $$("$$candidate" --version 2>&1 | head -n 1 || true)"$$'\n'
    fi
  done
  {
    echo "$(if $(PYTHON),PYTHON=$(PYTHON) is no usable,no usable) Python 3.11 or 3.12 $(if $(PYTHON),,found)"
    printf '%s' "$$missing"
    echo "On Debian or Ubuntu install what is missing of:"
    echo "  apt-get install python3 python3-dev python3-venv gcc make"
    echo "or name an interpreter: make PYTHON=/path/to/python3.12 ..."
  } >&2
  exit 1
}
python=""
find_python
endef
