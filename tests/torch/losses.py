"""Scalar losses with the gradient of their input: cross-entropy, mse, Switch load balance, router z-loss."""
import torch
import torch.nn.functional as F

from layout import leaf


def cases():
    for n, classes, scale in ((1, 2, 1.0), (9, 5, 1.0), (33, 10, 3.0)):
        torch.manual_seed(500 + n)
        yield f"cross_entropy_{n}x{classes}", cross_entropy(scale * torch.randn(n, classes))
    torch.manual_seed(510)
    yield "cross_entropy_extreme", cross_entropy(100 * torch.rand(12, 10) - 50)
    yield "cross_entropy_saturated", cross_entropy(50 * torch.sign(torch.randn(12, 10)))

    for n, m in ((1, 1), (9, 5)):
        torch.manual_seed(520 + n)
        x, target = leaf(torch.randn(n, m)), torch.randn(n, m)
        loss = F.mse_loss(x, target)  # mean over all n*m elements
        loss.backward()
        yield f"mse_{n}x{m}", {"x": x, "target": target, "loss": loss, "dx": x.grad}

    for n, experts, k in ((1, 2, 1), (16, 4, 1), (17, 8, 2), (40, 5, 3), (6, 3, 3)):
        torch.manual_seed(530 + n)
        yield f"load_balance_{n}x{experts}_top{k}", load_balance(2 * torch.randn(n, experts), k)
        torch.manual_seed(540 + n)
        yield f"router_z_{n}x{experts}_{k}", router_z(5 * torch.randn(n, experts))


def cross_entropy(logits):
    x, labels = leaf(logits), torch.randint(logits.shape[1], (logits.shape[0],))
    loss = F.cross_entropy(x, labels)
    loss.backward()
    return {"x": x, "labels": labels, "loss": loss, "dx": x.grad}


def load_balance(logits, k):
    """e * sum_i f_i P_i; f_i = share of the n*k slots given to expert i (no gradient), P_i = mean probability."""
    x = leaf(logits)
    n, experts = x.shape
    probabilities = x.softmax(dim=1)
    chosen = x.detach().topk(k, dim=1).indices
    f = torch.zeros(experts).index_add(0, chosen.reshape(-1), torch.ones(n * k)) / (n * k)
    loss = experts * (f * probabilities.mean(dim=0)).sum()
    loss.backward()
    return {"x": x, "k": k, "indices": chosen, "f": f, "loss": loss, "dx": x.grad}


def router_z(logits):
    """mean over tokens of logsumexp(logits)^2."""
    x = leaf(logits)
    loss = x.logsumexp(dim=1).square().mean()
    loss.backward()
    return {"x": x, "loss": loss, "dx": x.grad}
