"""How similar two sets of activations are: CCA, CKA, Procrustes and shared neighbours, on arrays and on streamed covariances."""
