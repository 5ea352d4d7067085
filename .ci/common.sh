# Sourced by run and nightly: what they install, their stages, their counts.
# Wants Debian as root for what is missing; Go must be there.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What is installed here stays between runs, outside of the tree.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/mcp-oauth2-proxy-ci"
work="$(mktemp -d)"
counts="$work/counts"
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache/bin"
touch "$counts"
failed=()

# stage NAME COMMAND... runs one stage; a failed one does not stop the others.
stage() {
	local name="$1" began="$SECONDS" how=done
	shift
	printf '\n=== %s\n' "$name"
	"$@" || { how=FAILED && failed+=("$name"); }
	printf -- '--- %s: %s (%d s)\n' "$name" "$how" "$((SECONDS - began))"
}

# finish prints what failed and the counts, and ends the script.
finish() {
	printf '\n%d s in all\n' "$SECONDS"
	((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
	awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$counts"
	((${#failed[@]} == 0)) || exit 1
	exit 0
}

# need COMMAND PACKAGE... installs Debian's packages if the command is missing.
need() {
	local command="$1"
	shift
	command -v "$command" >/dev/null && return
	[[ -v apt_updated ]] || patiently apt-get update -qq || return
	apt_updated=yes
	DEBIAN_FRONTEND=noninteractive patiently apt-get install -y -qq --no-install-recommends "$@" >"$work/apt.log" 2>&1 ||
		{ cat "$work/apt.log" && return 1; }
}

# patiently COMMAND... tries for five minutes: somebody else may hold apt's locks.
patiently() {
	local try
	for try in {1..20}; do
		"$@" && return
		echo "waiting (try $try): $*"
		sleep 15
	done
	return 1
}

# tool NAME PACKAGE VERSION installs a Go program once per version; the path of
# the program is left in $tool.
tool() {
	tool="$cache/bin/$3/$1"
	[[ -x "$tool" ]] || GOBIN="$cache/bin/$3" GOFLAGS=-mod=mod go install "$2@$3"
}

# postgres_bin is a program of PostgreSQL's, which Debian keeps out of the PATH.
postgres_bin() {
	compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1 | grep . || echo initdb
}

install() {
	need gcc gcc libc6-dev && # for the race detector
		need npm nodejs npm &&
		need chromium chromium &&
		need certutil libnss3-tools &&
		need testssl testssl.sh dnsutils bsdextrautils &&
		need systemd-socket-activate systemd &&
		need haproxy haproxy &&
		need "$(postgres_bin)" postgresql &&
		need ip iproute2 &&
		need pg_ctlcluster postgresql &&
		need promtool prometheus &&
		need nginx nginx &&
		need systemd-nspawn systemd-container &&
		need debootstrap debootstrap &&
		need rpm rpm &&
		need buildah buildah &&
		need podman podman &&
		need runc runc &&
		go build -o "$work/count" .ci/count.go &&
		tool nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm v2.43.0 &&
		tool helm helm.sh/helm/v3/cmd/helm v3.22.0 &&
		tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform v0.8.0 &&
		tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0
}

format() {
	local files
	files="$(gofmt -l .)" || return
	[[ -z "$files" ]] || { printf 'not formatted:\n%s\n' "$files" && return 1; }
}

# generated fails if what is committed is not what *.templ say.
generated() {
	go generate ./web && git diff --exit-code -- web && [[ -z "$(git status --porcelain -- web)" ]]
}

vet() {
	go vet ./... && GOOS=darwin go vet ./... && GOOS=windows go vet ./... &&
		(cd gateway/e2e && go vet -tags e2e ./...) && (cd gateway/e2e/bench && go vet ./...)
}

lint() {
	local tool config="$PWD/.golangci.yml"
	tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint v2.15.0 || return
	"$tool" run --allow-parallel-runners ./... && (cd gateway/e2e && "$tool" run --allow-parallel-runners --config "$config" --build-tags e2e ./...)
}

# tests DIR FLAGS... runs the tests of the module in DIR, and counts them.
tests() {
	local dir="$1"
	shift
	(cd "$dir" && go test -json "$@" ./... | "$work/count" "$counts")
}

# fuzz SECONDS shares the time among all fuzz targets. Their seeds have run as
# tests already, so they count there, and only a finding counts here.
fuzz() {
	local file name each targets rc=0
	mapfile -t targets < <(grep -rnoE --include='*_test.go' --exclude-dir=e2e '^func Fuzz\w*' . | sed 's/:[0-9]*:func /:/')
	((${#targets[@]} > 0)) || { echo 'no fuzz targets' && return; }
	each=$(($1 / ${#targets[@]}))
	((each >= 2)) || each=2
	echo "${#targets[@]} targets, $each s each"
	for target in "${targets[@]}"; do
		file="${target%%:*}" name="${target##*:}"
		fuzz_one "$(dirname "$file")" "$name" "$each" || rc=1
	done
	return "$rc"
}

fuzz_one() {
	local log="$work/fuzz.log"
	# To make an interesting input shorter may take the fuzzer a minute, in which it tries nothing else.
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$3s" -fuzzminimizetime 20x "$1" >"$log" 2>&1; then
		printf '%s %s: %s\n' "$1" "$2" "$(grep -E '^fuzz: elapsed' "$log" | tail -1)"
		return
	fi
	# The fuzzer sometimes calls the end of its own time a failure.
	if grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic|_test\.go:' "$log"; then
		printf '%s %s: the time was up\n' "$1" "$2"
		return
	fi
	cat "$log"
	echo '0 1 0' >>"$counts"
	return 1
}
