"""PyTorch's layouts turned into modx's."""


def rows(images):
    """NCHW images as rows n x (h*w*c)."""
    return images.permute(0, 2, 3, 1).reshape(images.shape[0], -1)


def kernel(weight):
    """cout x cin x kh x kw as [kh*kw*cin][cout]."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


def linear(weight):
    """out x in as in x out."""
    return weight.t()


def linear_after_images(weight, channels, height, width):
    """out x (c*h*w), applied to flattened NCHW, as (h*w*c) x out."""
    return weight.reshape(-1, channels, height, width).permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


def leaf(tensor):
    """The same values as a new leaf that collects a gradient."""
    return tensor.detach().clone().requires_grad_(True)
