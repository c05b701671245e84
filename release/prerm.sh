#!/bin/sh
set -e

# dpkg says "remove", rpm the number of versions that remain.
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --quiet disable hookwheel.service
		systemctl stop hookwheel.service
	fi
	;;
esac
