#!/bin/sh
# BUILD=build tests/bench/peers.sh [--quick] [--spread]: see peers.py
exec /usr/bin/python3 "$(dirname "$0")/peers.py" "$@"
