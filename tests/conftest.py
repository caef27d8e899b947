"""Small tensors: a second thread only costs, the more so on a busy machine."""

import torch

torch.set_num_threads(1)
