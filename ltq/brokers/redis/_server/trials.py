"""The commands that LTQ needs, and how each can be tried out without changing anything."""

from collections.abc import Mapping

STRING, ABSENT = "<a string>", "<nothing>"
"""Keys of a trial. Commands that write use one of a wrong type, those that remove one that does not
exist, so that neither changes anything."""

TRIALS: Mapping[str, tuple[str, ...]] = {
    "PING": (),
    "TIME": (),
    "SCAN": ("0", "COUNT", "1"),
    "EVAL": ("return 1", "0"),
    "EVALSHA": ("0" * 40, "0"),
    "GET": (ABSENT,),
    "SMEMBERS": (ABSENT,),
    "SADD": (STRING, "1"),
    "SREM": (ABSENT, "1"),
    "HSET": (STRING, "field", "1"),
    "HSETNX": (STRING, "field", "1"),
    "HINCRBY": (STRING, "field", "1"),
    "HKEYS": (ABSENT,),
    "HSCAN": (ABSENT, "0"),
    "HEXISTS": (ABSENT, "field"),
    "HGET": (ABSENT, "field"),
    "HLEN": (ABSENT,),
    "HMGET": (ABSENT, "field"),
    "HGETALL": (ABSENT,),
    "HDEL": (ABSENT, "field"),
    "LPUSH": (STRING, "1"),
    "RPUSH": (STRING, "1"),
    "LPOP": (ABSENT,),
    "LREM": (ABSENT, "0", "1"),
    "LTRIM": (ABSENT, "0", "0"),
    "LLEN": (ABSENT,),
    "LINDEX": (ABSENT, "0"),
    "LRANGE": (ABSENT, "0", "0"),
    "LPOS": (ABSENT, "1"),
    "ZADD": (STRING, "0", "1"),
    "ZREM": (ABSENT, "1"),
    "ZREMRANGEBYRANK": (ABSENT, "0", "0"),
    "ZREMRANGEBYSCORE": (ABSENT, "0", "0"),
    "ZCARD": (ABSENT,),
    "ZCOUNT": (ABSENT, "0", "0"),
    "ZRANGE": (ABSENT, "0", "0"),
    "ZSCORE": (ABSENT, "1"),
    "BZPOPMIN": (STRING, "0.01"),
    "EXISTS": (ABSENT,),
    "TYPE": (ABSENT,),
    "PTTL": (ABSENT,),
    "EXPIRE": (ABSENT, "1"),
    "PEXPIRE": (ABSENT, "1"),
    "EXPIREAT": (ABSENT, "1"),
    "PERSIST": (ABSENT,),
    "COPY": (ABSENT, ABSENT),
    "RENAME": (ABSENT, ABSENT),
    "PUBLISH": (ABSENT, "1"),
    "DEL": (STRING,),
    "UNLINK": (ABSENT,),
}
"""Every command that LTQ and its scripts need, except SET, with which the trial begins. LTQ can do
without INFO, CONFIG, SUBSCRIBE and CLUSTER INFO."""
