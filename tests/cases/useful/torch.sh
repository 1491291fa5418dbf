# PyTorch hands tensors from its loading processes to the first one through /dev/shm.
# run: user
# needs: fuse userns py:torch
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
cat >load.py <<'PY'
import torch
from torch.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    data = TensorDataset(torch.ones(64, 100000))
    print(int(sum(x.sum() for (x,) in DataLoader(data, batch_size=16, num_workers=2))))
PY
expect_eq "$(sbx-shell $degraded --quiet --ro "$PWD/load.py:/opt/load.py" ws -- python3 /opt/load.py 2>err)" 6400000 "the sum ($(tail -n 5 err))"
