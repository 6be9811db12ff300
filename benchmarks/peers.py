"""Import this before a peer that brings torchvision along: timm, or torchvision itself.

The index serves its compiled operators built for CUDA. Beside a CPU build of torch they do not load;
declarations are enough for all that is pure Python in it.
"""

import torch

DECLARED = torch.library.Library("torchvision", "FRAGMENT")
if torch.version.cuda is None:
    for operator in ("nms", "qnms"):
        DECLARED.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
