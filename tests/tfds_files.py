"""Writes tiny data sets in the format of TFDS, without TensorFlow."""

import io
import json

import numpy as np
from PIL import Image

IMAGES = {
  'train': np.random.default_rng(0).integers(0, 256, (9, 4, 3, 1), dtype=np.uint8),
  'test': np.random.default_rng(1).integers(0, 256, (5, 4, 3, 1), dtype=np.uint8),
}


def png_record(image, labels):
  """Returns one image as TFDS stores it: a PNG inside a tf.train.Example, beside its labels."""
  from tensorflow_datasets.proto import tf_example_pb2

  buffer = io.BytesIO()
  Image.fromarray(image[..., 0]).save(buffer, format='png')
  example = tf_example_pb2.Example()
  example.features.feature['image'].bytes_list.value.append(buffer.getvalue())
  for name, value in labels.items():
    example.features.feature[name].int64_list.value.append(int(value))
  return example.SerializeToString()


def write_prepared(
  root, name='tiny', version='1.0.0', images=None, feature='image', shape=None, labels=None
):
  """Writes a data set as `tfds build --file_format=array_record` does; returns its directory.

  Args:
    root: TFDS_DATA_DIR.
    name, version: of the data set.
    images: split -> images [n, H, W, 1], uint8.
    feature: the name of the feature that describes the images.
    shape: the shape that it declares.
    labels: split -> feature -> class indices [n]; else one feature 'label', always 3.
  """
  from array_record.python import array_record_module

  images = IMAGES if images is None else images
  labels = labels or {split: {'label': [3] * len(values)} for split, values in images.items()}
  directory = root / name / version
  directory.mkdir(parents=True)
  for split, values in images.items():
    path = directory / f'{name}-{split}.array_record-00000-of-00001'
    writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
    for i, image in enumerate(values):
      writer.write(png_record(image, {key: column[i] for key, column in labels[split].items()}))
    writer.close()
  splits = [
    {
      'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}',
      'name': split,
      'numBytes': '1',
      'shardLengths': [str(len(values))],
    }
    for split, values in images.items()
  ]
  info = {'fileFormat': 'array_record', 'name': name, 'splits': splits, 'version': version}
  (directory / 'dataset_info.json').write_text(json.dumps(info))
  features = 'tensorflow_datasets.core.features.'
  dimensions = [str(size) for size in shape or next(iter(images.values())).shape[1:]]
  image = {
    'image': {'dtype': 'uint8', 'shape': {'dimensions': dimensions}},
    'pythonClassName': features + 'image_feature.Image',
  }
  label = {
    'classLabel': {'numClasses': '10'},
    'pythonClassName': features + 'class_label_feature.ClassLabel',
  }
  described = {feature: image} | dict.fromkeys(next(iter(labels.values())), label)
  tree = {
    'featuresDict': {'features': described},
    'pythonClassName': features + 'features_dict.FeaturesDict',
  }
  (directory / 'features.json').write_text(json.dumps(tree))
  return directory
