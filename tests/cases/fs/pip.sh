# A virtual environment in the workspace: pip installs a wheel and a source package made there, without a
# network, and removes them again.
# run: user
# needs: fuse userns python3
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

/usr/bin/python3 -c 'import ensurepip, setuptools, wheel' 2>/dev/null ||
	skip "python3-venv, python3-setuptools and python3-wheel are not installed"
new_ws ws
# What is shared from outside: the host's setuptools and wheel, for pip to build with.
inside ws '
	cd /workspace && mkdir -p pkg/tool && cd pkg
	echo "from setuptools import setup; setup(name=\"tool\", version=\"1.2\", packages=[\"tool\"],
		entry_points={\"console_scripts\": [\"tool=tool:main\"]})" >setup.py
	echo "def main(): print(\"tool works\")" >tool/__init__.py
	for i in $(seq 40); do echo "X = $i" >tool/m$i.py; done
	/usr/bin/python3 setup.py -q sdist bdist_wheel
	cd .. && /usr/bin/python3 -m venv --system-site-packages env
	. env/bin/activate
	pip install -q --no-index --disable-pip-version-check pkg/dist/tool-1.2-py3-none-any.whl
	[ "$(tool)" = "tool works" ] && python -c "import tool.m40; assert tool.m40.X == 40"
	pip uninstall -qy tool && [ ! -e env/bin/tool ]
	pip install -q --no-index --no-build-isolation --disable-pip-version-check pkg/dist/tool-1.2.tar.gz
	[ "$(tool)" = "tool works" ]' >out 2>&1 || fail "$(tail -n 30 out)"
expect_eq "$(inside ws '/workspace/env/bin/tool')" "tool works" "after a fresh start"
