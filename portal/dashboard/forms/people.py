"""Sign-in."""

from django.contrib.auth.forms import AuthenticationForm

from portal.base.models import User


class SignInForm(AuthenticationForm):
    """User name and password; the error never says which of the two was wrong."""

    error_messages = {
        "invalid_login": "This user name and password do not fit together. Both mind upper and "
        "lower case.",
        "inactive": "This account is switched off. Ask an administrator.",
    }

    def get_invalid_login_error(self) -> Exception:
        """An account that exists but is off says so only to whoever knows its password."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        user = User.objects.filter(username=name, is_active=False).first()
        if user is not None and user.check_password(password or ""):
            self.confirm_login_allowed(user)
        return super().get_invalid_login_error()
