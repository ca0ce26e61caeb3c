"""torchvision's AlexNet from scratch with timm's parts, in the order of timm's train.py: data sets and loaders, optimizer, schedule, loss.

    python timm_reference.py DATA_DIR [--val SUBDIR] [--image-size 128] [--epochs 30] [--lr 0.01] [--opt sgd] [--drop 0.2] [--smoothing 0.1] ...

DATA_DIR has train/ and the validation folder. timm decodes every image in every epoch; for photographs of cameras, reduce them first (the
figure of docs/guide/train.md is with a short side of 192 pixels). Prints a line per epoch, and the mean of the last five at the end.
"""
import argparse, os, time, torch, torchvision
from timm.data import Mixup, create_dataset, create_loader
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, random_seed

p = argparse.ArgumentParser()
p.add_argument("data"); p.add_argument("--val", default="validation")
for name, default in dict(image_size=128, epochs=30, batch=64, lr=0.01, opt="sgd", weight_decay=5e-4, drop=0.2, smoothing=0.1, warmup=2, scale=0.35,
                          color_jitter=0.0, aa="", ema=0.0, mixup=0.0, cutmix=0.0, reprob=0.0, seed=11).items():
    p.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
a = p.parse_args()
random_seed(a.seed)
classes = len(os.listdir(os.path.join(a.data, "train")))
model = torchvision.models.alexnet(num_classes=classes, dropout=a.drop)
optimizer = create_optimizer_v2(model, opt=a.opt, lr=a.lr, weight_decay=a.weight_decay, momentum=0.9)
shared = dict(input_size=(3, a.image_size, a.image_size), batch_size=a.batch, interpolation="bilinear", num_workers=1, use_prefetcher=False,
              mean=(.485, .456, .406), std=(.229, .224, .225), crop_pct=1.0)
mix = Mixup(a.mixup, a.cutmix, label_smoothing=a.smoothing, num_classes=classes) if a.mixup or a.cutmix else None
images = lambda split: create_dataset("", os.path.join(a.data, split), class_map="")
train = create_loader(images("train"), is_training=True, scale=(a.scale, 1.0), ratio=(3 / 4, 4 / 3), hflip=0.5, color_jitter=a.color_jitter or None,
                      auto_augment=a.aa or None, re_prob=a.reprob, **shared)
val = create_loader(images(a.val), is_training=False, **shared)
scheduler, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=a.epochs, warmup_epochs=a.warmup, warmup_lr=1e-5, min_lr=0.0,
                                        step_on_epochs=False, updates_per_epoch=len(train))
ema = ModelEmaV3(model, decay=a.ema, use_warmup=True) if a.ema else None
criterion = SoftTargetCrossEntropy() if mix else LabelSmoothingCrossEntropy(a.smoothing)
accuracies, updates, start = [], 0, time.time()
for epoch in range(a.epochs):
    model.train()
    for x, y in train:
        if mix and len(x) % 2:  # Mixup pairs the images of a batch
            continue
        if mix:
            x, y = mix(x, y)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        updates += 1
        if ema:
            ema.update(model, step=updates)
        scheduler.step_update(num_updates=updates)
    scheduler.step(epoch + 1)
    tested, right = ema.module if ema else model, 0
    tested.eval()
    with torch.no_grad():
        for x, y in val:
            right += (tested(x).argmax(1) == y).sum().item()
    accuracies.append(right / len(val.dataset))
    print(f"epoch {epoch + 1}: loss {loss.item():.3f}, validation {accuracies[-1]:.4f}, {time.time() - start:.0f} s", flush=True)
last = accuracies[-5:]
print(f"mean of the last {len(last)}: {sum(last) / len(last):.4f}")
