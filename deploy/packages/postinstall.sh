#!/bin/sh
# After the files are there, for the first time or in place of older ones. The
# service is not enabled: it has nothing to do before it is configured.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl try-restart mcp-oauth2-proxy.service
