"""What the tests on a GPU need: is one here, how much of its memory is used, and a process that holds the rest of it."""

import ctypes
import functools
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from lib.tally import Skip

RUNTIME = os.environ.get("PERSONA_CUDA_ONNXRUNTIME", "")


def missing():
    """Why there can be no test on a GPU; None where there can."""
    if not RUNTIME:
        return "PERSONA_CUDA_ONNXRUNTIME does not name an ONNX Runtime with CUDA"
    if not (Path(RUNTIME).parent / "libonnxruntime_providers_cuda.so").exists():
        return f"no libonnxruntime_providers_cuda.so beside {RUNTIME}"
    try:
        used_mib()
    except (OSError, subprocess.CalledProcessError):
        return "nvidia-smi shows no GPU"
    return None


def on_gpu(test):
    """Marks a test that needs a GPU: it is skipped elsewhere."""

    @functools.wraps(test)
    def marked(cluster):
        reason = missing()
        if reason:
            raise Skip(reason)
        test(cluster)

    return marked


def used_mib():
    """Of the first GPU, by all processes."""
    command = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@contextmanager
def held(free_mib):
    """Another process holds the GPU's memory but for about so much, while the block runs."""
    child = subprocess.Popen([sys.executable, "-c", f"from lib import gpu; gpu.hold({free_mib})"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        told = child.stdout.readline()
        assert told.startswith("free"), f"the memory could not be held: {told}"
        yield int(told.split()[1])
    finally:
        child.stdin.close()
        child.wait(30)
        child.stdout.close()


def hold(free_mib):
    """Plain allocations, each half as large as the one that failed before it; kept until standard input ends."""
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name, *arguments):
        code = getattr(cuda, name)(*arguments)
        if code:
            sys.exit(f"{name}: {code}")

    device, context, free, total = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    size = 1 << 32
    while size >= 2 << 20:
        call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        place = ctypes.c_ulonglong()
        if free.value < size + (free_mib << 20) or cuda.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(size)):
            size //= 2
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    print("free", free.value >> 20, flush=True)
    sys.stdin.read()

