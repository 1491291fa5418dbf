# An edited workspace.json is refused, naming the field; damaged files of keys/ too. Exit code 5.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws --quota 1M
cp ws/workspace.json good.json
edit() { # KEY=VALUE as Python assigns it
	cp good.json ws/workspace.json
	/usr/bin/python3 - "$1" <<'PY'
import json, sys
p = "ws/workspace.json"
d = json.load(open(p))
exec("d" + sys.argv[1])
json.dump(d, open(p, "w"))
PY
}

while read -r field change; do
	edit "$change"
	expect_refusal 5 "$field" sbxctl show ws
	expect_refusal 5 "$field" sbxctl status ws
done <<'END'
quota ["quota"]["bytes"] = 0
memory ["limits"]["memory"] = "none"
pids ["limits"]["pids"] = 100000
datasets ["datasets"].append({"name": "etc", "source": "/etc", "kind": "dir"})
cipher ["cipher"] = "aes-gcm"
id ["id"] = "0" * 32
created ["created"] = "2001-01-01T00:00:00Z"
extra ["extra"] = 1
time ["limits"].pop("time")
END

echo '{"format":1' >ws/workspace.json
expect_refusal 5 "workspace.json" sbxctl show ws
: >ws/workspace.json
expect_refusal 5 "workspace.json" sbxctl show ws
rm ws/workspace.json
mkdir ws/workspace.json
expect_code 5 sbxctl show ws
rmdir ws/workspace.json

# Put back, it opens as before.
cp good.json ws/workspace.json
expect_code 0 sbxctl show ws

cp ws/keys/config config
printf 'x' | dd of=ws/keys/config bs=1 seek=40 conv=notrunc status=none
expect_refusal 5 "config" sbxctl show ws
rm ws/keys/config
expect_refusal 1 "config missing" sbxctl show ws
cp config ws/keys/config
expect_code 0 sbxctl show ws
flock -n ws/lock true || sleep 0.5
expect_eq "$(find ws -name '.*.new')" "" "temporary files"
