"""What XLA needs written otherwise than the mathematics reads, apart from it.

Each module has a function that is fast, its plain `reference` beside it, the gain that was measured
and when the module may be deleted: then `reference` takes the place of its calls. A test for each
holds the two equal: tests/test_fast.py. What was measured ran with jax 0.10.2 on two cores of an
AMD EPYC (Zen 5). Together, against the version before, `softplus`, `sums`, `ahead`, `gathering`,
`putting` and loops of 512 bits took a step of 784-100-100-10 to 0.66 of its time, of the digits to
0.85, of one lane of 784-500-20 to 0.87, of sixteen to 0.90, and the NLL to 0.76.

  softplus       the likelihood of a binary pixel
  sums           the sum over the pixels of an example
  finite         whether the squares of all gradients are finite
  rows           samples of examples as the rows of one matrix
  heads          two dense layers of the same inputs
  convolutions   convolutions as products of folded pixels
  layouts        convolutions in the layout that the compiler has a fast kernel for
  lone           a lane that is alone on its device
  gathering      the examples of a batch
  ahead          a loop whose noise is drawn for many steps at once
  carries        sums before the first step of a loop
  putting        arrays that lie where they should already
"""
