from tests.zoo.torchvision_operators import provide_operators

provide_operators()  # before a test module imports torchvision or transformers
