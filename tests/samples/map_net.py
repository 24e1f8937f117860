"""A tiny CNN with the feature map that the networks of timm have."""

from tiny import TinyNet


class MapNet(TinyNet):
    """TinyNet in two parts, as a network of timm."""

    def forward_features(self, x):
        return self.norm(self.conv(x)).relu()

    def forward(self, x):
        return self.head(self.drop(self.forward_features(x)).mean((2, 3)))
