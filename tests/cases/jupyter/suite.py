# Jupyter's own tests of a kernel, over both transports.
# run: root
# needs: fuse py:ipykernel py:jupyter_kernel_test
# timeout: 150
import os, sys, unittest

from checks import check
from jup import install, new_ws

new_ws("ws")
install("ws", "--notebook-dir", "none", name="sbx-lo")
install("ws", "--notebook-dir", "none", "--jupyter-transport", "ipc", name="sbx-ipc")

import jupyter_kernel_test as jkt


class Common:
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result = [{"code": "1+2+3", "result": "6"}]
    code_display_data = [{"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
                          "mime": "text/html"}]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"


class Lo(Common, jkt.KernelTests):
    kernel_name = "sbx-lo"


class Ipc(Common, jkt.KernelTests):
    kernel_name = "sbx-ipc"


load = unittest.defaultTestLoader.loadTestsFromTestCase
which = [Lo, Ipc] if os.environ["MODE"] == "root" else [Lo]
result = unittest.TextTestRunner(verbosity=1).run(unittest.TestSuite(map(load, which)))
check(result.testsRun >= 12 * len(which) and result.wasSuccessful(), "the tests of Jupyter")
