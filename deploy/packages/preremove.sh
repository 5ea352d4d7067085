#!/bin/sh
# Before the files go. An upgrade is no removal: then the service goes on, and is
# restarted by the new package.
set -e
case "$1" in remove | 0) ;; *) exit 0 ;; esac # deb says "remove", rpm how many versions stay
[ -d /run/systemd/system ] || exit 0
systemctl disable --now mcp-oauth2-proxy.service mcp-oauth2-proxy.socket
