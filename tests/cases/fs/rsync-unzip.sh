# rsync -aX --delete and unzip work in the workspace: content, links, modes, times, xattrs, deletions.
# run: root user
# needs: fuse userns rsync unzip
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws '
	cd /workspace
	mkdir -p src/sub/deep src/empty && seq 2000 >src/numbers && head -c 3000000 /dev/urandom >src/sub/big
	ln -s ../numbers src/sub/link && ln src/numbers src/sub/hard && mkfifo src/pipe
	printf "%0200d" 7 | xargs -I{} touch "src/{}" && touch -d "2001-02-03 04:05:06.789" src/sub/deep
	chmod 640 src/numbers && chmod 2750 src/empty && truncate -s 5M src/sub/holes
	python3 -c "import os; os.setxattr(\"src/numbers\", \"user.note\", b\"hello\"); os.setxattr(\"src/sub\", \"user.dir\", b\"d\")"
	show() { (cd "$1" && find . ! -type d -printf "%P %y %m %s %T@ %l %n\n" -o -type d -printf "%P %y %m %T@\n" | sort); }
	rsync -aXHS --modify-window=-1 --delete src/ dst/
	diff -r --no-dereference -x pipe src dst && [ "$(show src)" = "$(show dst)" ]
	python3 -c "import os; assert os.getxattr(\"dst/numbers\", \"user.note\") == b\"hello\" and os.getxattr(\"dst/sub\", \"user.dir\") == b\"d\""
	# Second run: what went is deleted, what changed is sent, what did not is left alone.
	rm -r src/sub/deep src/numbers && echo new >src/new && echo more >>src/sub/hard
	before=$(stat -c "%i %Z" dst/sub/big)
	rsync -aXHS --modify-window=-1 --delete --itemize-changes src/ dst/ >list
	grep -q "^\*deleting *numbers" list && grep -q "^\*deleting *sub/deep/" list
	[ "$(show src)" = "$(show dst)" ] && [ "$(stat -c "%i %Z" dst/sub/big)" = "$before" ]
	rsync -aXHS --modify-window=-1 --delete --itemize-changes src/ dst/ >list && [ ! -s list ]' >out 2>&1 || fail "rsync: $(tail -n 20 out)"
inside ws '
	cd /workspace
	python3 - <<"PY"
import zipfile
with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(300):
        z.writestr(f"top/d{i % 7}/file {i}", f"{i}\n" * (i * 37 % 900))
    link = zipfile.ZipInfo("top/link"); link.external_attr = 0o120777 << 16
    z.writestr(link, "d1")
    prog = zipfile.ZipInfo("top/prog"); prog.external_attr = 0o100755 << 16
    z.writestr(prog, "#!/bin/sh\necho it runs\n")
PY
	unzip -q a.zip && unzip -tq a.zip && [ "$(find top -name "file *" | wc -l)" = 300 ]
	[ "$(readlink top/link)" = d1 ] && [ "$(./top/prog)" = "it runs" ]
	python3 -c "
for i in range(300):
    assert open(f\"top/d{i % 7}/file {i}\").read() == f\"{i}\n\" * (i * 37 % 900)"' >out 2>&1 || fail "unzip: $(tail -n 20 out)"
# And after a fresh start of the daemon.
inside ws 'cd /workspace && diff -r --no-dereference -x pipe src dst && unzip -oq a.zip && ./top/prog' >out 2>&1 ||
	fail "after a fresh start: $(tail -n 20 out)"
