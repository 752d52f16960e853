#!/bin/bash
# tests/run.sh [SUITE...]: installs, builds, runs. The last line is `N passed, N failed, N skipped`.
#
#   unit lint tidy fuzz  meson's, in build/
#   system clients       the real daemon with guests of namespaces and a cgroup (pytest, root)
#   managers             the same with containers of LXC, LXD, podman, Docker, systemd-nspawn and bubblewrap
#   asan                 these, but for older kernels, mapped ids, managers, the package and clients that only read
#                        files, again under ASan and UBSan, in build-asan/
#   tsan                 the daemon under TSan with load, in build-tsan/
#
# MUST_WORK=1: a test that is skipped is a failure. Logs of what fails are printed, and kept in
# build/results.
set -u
cd "$(dirname "$0")/.." || exit 1

known="unit lint tidy fuzz system clients managers asan tsan"
suites=${*:-$known}
for suite in $suites; do
    [[ " $known " == *" $suite "* ]] || { echo "suites are: $known" >&2; exit 2; }
done
wanted() { [[ " $suites " == *" $1 "* ]]; }

results=build/results

# step NAME COMMAND...: its output is shown only when it fails.
step() {
    local name=$1 start=$SECONDS
    shift
    if "$@" >"$results/$name.log" 2>&1; then
        echo "ok      $name ($((SECONDS - start)) s)"
        return 0
    fi
    cat "$results/$name.log"
    echo "FAILED  $name ($((SECONDS - start)) s)"
    return 1
}

# build DIRECTORY OPTION...: what cannot be built counts as one failure.
build() {
    step "$1" configure_and_compile "$@" || { no_result "$results/$1.xml"; return 1; }
}
configure_and_compile() {
    local dir=$1
    shift
    [ -e "$dir/build.ninja" ] || meson setup "$dir" -Dwerror=true "$@" || return
    meson compile -C "$dir"
}

# no_result FILE: a suite that did not come to its end counts as one failure.
no_result() {
    echo '<testsuite><testcase><failure/></testcase></testsuite>' >"$1"
}

# meson_tests DIRECTORY SUITE: the suites compiled in.
meson_tests() {
    local dir=$1 suite=$2 junit=$1/meson-logs/testlog.junit.xml
    rm -f "$junit"
    step "$dir-$suite" meson test -C "$dir" --no-rebuild --print-errorlogs --suite "$suite"
    cp "$junit" "$results/$dir-$suite.xml" || no_result "$results/$dir-$suite.xml"
}

# python_tests DIRECTORY NAME ARGUMENT...: the daemon of that build, three tests at a time: much of their time is waiting.
python_tests() {
    local dir=$1 name=$2 junit=$results/$1-$2.xml
    shift 2
    step "$dir-$name" env BUILD="$dir" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q \
        -p no:cacheprovider -n 3 --junitxml="$junit" "$@"
    [ -e "$junit" ] || no_result "$junit"
}

# Answers of older kernels, and guests with mapped ids, take the same paths in every build.
asan_leaves_out="not 6.1 and not 6.5 and not PIDFD and not neither and not mapped"

# What takes the processor alone, beside tests that mostly wait: what it has built has a file of that name in the results.
in_the_background() {
    renice -n 10 "$BASHPID" >/dev/null
    wanted asan && build build-asan --native-file tests/dev.ini && touch "$results/build-asan"
    wanted tsan && build build-tsan -Db_sanitize=thread -Db_lundef=false && touch "$results/build-tsan"
    [ -e "$results/build" ] && wanted tidy && meson_tests build tidy
}

tests/packages.sh || exit 1
mkdir -p "$results"
rm -f "$results"/*

build build && touch "$results/build"
if [ -e "$results/build" ]; then
    for suite in unit lint fuzz; do
        wanted $suite && meson_tests build $suite
    done
fi
in_the_background &
if [ -e "$results/build" ]; then
    for suite in system clients; do
        wanted $suite && python_tests build $suite tests/$suite
    done
    # Containers of one kind in one process, which has made their image.
    wanted managers && python_tests build managers tests/managers --dist loadgroup
fi
wait
if [ -e "$results/build-asan" ]; then
    meson_tests build-asan unit
    meson_tests build-asan fuzz
    python_tests build-asan system tests/system -k "$asan_leaves_out" --ignore tests/system/test_package.py
    python_tests build-asan clients tests/clients/test_{curl,events,images,wire}.py
fi
if [ -e "$results/build-tsan" ]; then
    python_tests build-tsan load tests/system/test_{hostile,keeper,live,tree_coherence,tree_stall}.py
fi

exec /usr/bin/python3 tests/summary.py "$results"/*.xml
