"""Doors to the ecosystem. Import the one that is wanted; of the project only `doctor` does, to compare with PyTorch.

fastscratch.interop.layouts        weights in PyTorch's layout and back, in NumPy alone
fastscratch.interop.safetensors    weights as a file that PyTorch's users read and write
fastscratch.interop.torch          a PyTorch twin of a model; needs PyTorch
fastscratch.interop.torch_ops      the kernel ops as PyTorch computes them; needs PyTorch
"""
