"""The HEAR benchmark's interface to a pre-trained encoder; the standard asks for a module with these three names."""

from audiopg.pretrained.hear import get_scene_embeddings, get_timestamp_embeddings, load_model

__all__ = ["get_scene_embeddings", "get_timestamp_embeddings", "load_model"]
