"""Lets the tests import the modules beside this file, and keeps PyTorch to one thread."""

import torch

torch.set_num_threads(1)
