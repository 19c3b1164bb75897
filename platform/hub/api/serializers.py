"""What the API takes."""

from __future__ import annotations

from rest_framework import serializers


class LoginInput(serializers.Serializer[None]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=500, trim_whitespace=False)
    code = serializers.CharField(max_length=40, default="", allow_blank=True)
    name = serializers.CharField(max_length=100, default="command line")


class TokenInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=100)
    days = serializers.IntegerField(default=None, allow_null=True)


WISHES = ("gpus", "cpus", "memory", "shm_size")


class PushInput(serializers.Serializer[None]):
    code = serializers.FileField()
    entry = serializers.CharField(max_length=300, default="", allow_blank=True)
    args = serializers.CharField(max_length=1000, default="", allow_blank=True)
    memo = serializers.CharField(max_length=500, default="", allow_blank=True)
    submit = serializers.BooleanField(default=False)
    gpus = serializers.IntegerField(min_value=0, max_value=1000, default=None, allow_null=True)
    cpus = serializers.FloatField(min_value=0, max_value=10_000, default=None, allow_null=True)
    memory = serializers.CharField(max_length=20, default="", allow_blank=True)
    shm_size = serializers.CharField(max_length=20, default="", allow_blank=True)
    idempotency_key = serializers.CharField(max_length=100, default="", allow_blank=True)


class BundleInput(serializers.Serializer[None]):
    bundle = serializers.FileField()
    check = serializers.BooleanField(default=False)


class ForkInput(serializers.Serializer[None]):
    args = serializers.CharField(max_length=1000, default=None, allow_blank=True, allow_null=True)
    memo = serializers.CharField(max_length=500, default="", allow_blank=True)
    checkpoint = serializers.CharField(max_length=128, default=None, allow_blank=True, allow_null=True)


class MemoInput(serializers.Serializer[None]):
    memo = serializers.CharField(max_length=500, allow_blank=True)


class SubmitInput(serializers.Serializer[None]):
    checkpoint = serializers.CharField(max_length=128, default=None, allow_blank=True, allow_null=True)
    trial = serializers.BooleanField(default=False)
