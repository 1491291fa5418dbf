# Parquet files are written in the workspace and read after a fresh start.
# run: root user
# needs: fuse userns python3
. "$SBX_SRC/tests/lib/common.sh"

/usr/bin/python3 -c 'import pyarrow.parquet' 2>/dev/null ||
	skip "pyarrow is not installed, and this distribution has no package of it"
new_ws ws
inside ws 'cd /workspace && /usr/bin/python3 -c "
import pyarrow as pa, pyarrow.parquet as pq
t = pa.table({\"a\": list(range(300000)), \"b\": [str(i) for i in range(300000)]})
with pq.ParquetWriter(\"t.parquet\", t.schema) as w:
    for i in range(4):
        w.write_table(t)
pq.write_to_dataset(t, \"set\", partition_cols=None)
"' >out 2>&1 || fail "write: $(tail -n 20 out)"
inside ws 'cd /workspace && /usr/bin/python3 -c "
import pyarrow.parquet as pq
t = pq.read_table(\"t.parquet\")
assert t.num_rows == 1200000 and t.column(\"b\")[299999].as_py() == \"299999\"
assert pq.read_table(\"set\").num_rows == 300000
"' >out 2>&1 || fail "read: $(tail -n 20 out)"
