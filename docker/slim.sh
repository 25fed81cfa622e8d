# Removes from an environment what serving does not need: torch's headers, tools, tests, static libraries and debugging
# symbols, CUDA's profilers and the libraries that nothing links, NVSHMEM's device code, and Triton's backend for AMD.
#
#     sh slim.sh /opt/venv
set -eu
cd "$1"/lib/python3*/site-packages
rm -rf torch/include torch/share torch/test torch/bin/protoc* torch/bin/test_* \
    nvidia/*/include nvidia/cu*/cccl nvidia/nvshmem/lib/*.bc \
    triton/backends/amd/lib triton/backends/nvidia/bin/cuobjdump triton/backends/nvidia/bin/nvdisasm \
    triton/backends/nvidia/lib/cupti*
for library in cusolverMg cufftw nvblas nvperf_host nvperf_target pcsamplingutil checkpoint; do
    rm -f nvidia/cu*/lib/lib$library.so*
done
find . -name '*.a' -delete
find numpy sympy networkx -name tests -prune -exec rm -rf {} +
for library in torch/lib/*.so triton/_C/*.so nvidia/nccl/lib/*.so.*; do
    if [ -f "$library" ]; then strip --strip-unneeded "$library"; fi
done
