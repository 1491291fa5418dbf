# node: its own threads, a child process, a server on the loopback, files.
# run: user
# needs: fuse userns node
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cat >t.js <<JS
const http = require("http"), fs = require("fs"), cp = require("child_process"), crypto = require("crypto");
const { Worker } = require("worker_threads");
fs.writeFileSync("/workspace/f", "text");
if (cp.execFileSync("cat", ["/workspace/f"]).toString() !== "text") throw new Error("child");
new Worker("require(\"worker_threads\").parentPort.postMessage(7)", { eval: true }).on("message", (seven) => {
	crypto.pbkdf2("a", "b", 1000, 32, "sha256", () => {
		const s = http.createServer((q, r) => r.end("served")).listen(0, "127.0.0.1", () =>
			http.get({ port: s.address().port, host: "127.0.0.1" }, (r) =>
				r.on("data", (d) => { console.log(d.toString(), seven); s.close(); })));
	});
});
JS
node t.js' >out 2>&1 || fail "$(tail -n 20 out)"
expect_eq "$(cat out)" "served 7" "what node says"
